"""The demo's synthetic world: seeded requests for music, their hidden parameters, and a teacher that writes more."""
