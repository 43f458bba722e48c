"""A language model for a brain: any server that speaks the Mistral chat completions API with tools."""
