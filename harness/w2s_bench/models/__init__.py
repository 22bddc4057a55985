"""The engine: where language models come from, and the batched scoring, answering and training of them. Torch lives here.

No stage, no store and no protocol may enter: it is told texts and gives numbers.
"""
