"""The miniature lineage: tokenizers, tiny models, pretraining and post-training from scratch.

Needs torch.
"""
