"""The nouns: frozen values, no I/O, no clients. Everyone may import it."""
