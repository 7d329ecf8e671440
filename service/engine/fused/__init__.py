"""Decoder layers written out by hand, forward and backward, for training and measuring passes.

They compute what the generic path computes, with fewer copies and less memory than
autograd needs: products are kept, what is cheap (norms, softmax, SwiGLU) is computed again.
"""

from service.engine.fused.decoder import FusedDecoder
from service.engine.fused.losses import AnyHead, PlainHead, TokenScores

__all__ = ["AnyHead", "FusedDecoder", "PlainHead", "TokenScores"]
