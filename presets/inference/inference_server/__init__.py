"""Serves a model with adapters: OpenAI's API, Kaito's `/chat`, health and metrics on one port."""
