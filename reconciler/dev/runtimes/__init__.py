"""Real work in the development cluster's pods: our own runtime images as local processes, with small models.

What a catalogue names is stood in for: every preset by one small local model, the documentation's data set
by generated rows. Whoever looks at a pod or at what it made is told so.
"""
