"""A client for many short answers of a language model behind Mistral's API: what is asked, what it costs, what came."""
