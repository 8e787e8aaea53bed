"""The stand-alone simulated venue: the matching engine in a process of its own, reached as any broker is."""
