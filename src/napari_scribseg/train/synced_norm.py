"""Batch norm over the batch of all processes, on any device, so that several processes learn what one would."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["SyncedBatchNorm2d", "sync_batch_norm"]


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """:class:`torch.nn.BatchNorm2d` whose statistics are those of all processes; ``nn.SyncBatchNorm`` needs CUDA."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` of shape (N, C, H, W); every process gives the same N, H and W."""
        if not self.training:
            return super().forward(x)
        from torch.distributed.nn.functional import all_reduce

        values = x.float()
        world = torch.distributed.get_world_size()
        sums: Tensor = all_reduce(  # type: ignore[no-untyped-call]
            torch.stack((values.mean((0, 2, 3)), values.square().mean((0, 2, 3))))
        )  # (2, C)
        mean, square = (sums / world).unbind()
        variance = (square - mean.square()).clamp(min=0)
        count = world * values.numel() / values.shape[1]
        with torch.no_grad():
            share = self.momentum or 0.0
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            self.running_mean.lerp_(mean, share)
            self.running_var.lerp_(variance * (count / max(count - 1, 1)), share)
            self.num_batches_tracked += 1
        factor = torch.rsqrt(variance + self.eps) * self.weight
        shift = self.bias - mean * factor
        return (values * factor[:, None, None] + shift[:, None, None]).to(x.dtype)


def sync_batch_norm(model: nn.Module) -> None:
    """Replace every batch norm of a network, in place; its tensors stay the same."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.BatchNorm2d:
                synced = SyncedBatchNorm2d(child.num_features, child.eps, child.momentum)
                synced.load_state_dict(child.state_dict())
                setattr(parent, name, synced)
