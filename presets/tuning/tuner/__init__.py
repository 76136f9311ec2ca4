"""Tunes a model with LoRA or QLoRA adapters, from data it fetches to an image it pushes.

Two programs: `tuner.download` fetches the data, `tuner` trains and pushes. Both are told what to do by
`settings.py`; the user's own words, `training_config.yaml`, are `configuration.py`'s.
"""
