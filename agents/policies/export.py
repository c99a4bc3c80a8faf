"""A policy of Stable-Baselines3's or sb3-contrib's as one that does without them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from sb3_contrib.common.torch_layers import BatchRenorm
from sb3_contrib.qrdqn.policies import QRDQNPolicy
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.dqn.policies import DQNPolicy
from stable_baselines3.td3.policies import TD3Policy
from torch import Tensor, nn

from agents.policies.network import KINDS, Layer
from agents.policies.policy import Policy, PolicySpec
from gan_env import EnvConfig
from gan_env.observation import Feature, feature_table

_PLAIN = {KINDS[kind]: kind for kind in ("tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid")}
_MARGIN = 0.05
"""Share of the way between a feature's bounds that is added at both ends of its range in training."""


def export_policy(
    policy: BasePolicy,
    config: EnvConfig,
    seen: Mapping[str, tuple[float, float]] | None = None,
    training: Mapping[str, Any] | None = None,
    decisions: int | None = None,
) -> Policy:
    """The greedy form of ``policy``, trained in environments of ``config``.

    ``seen`` holds the range of each feature in training, as :meth:`~agents.seen_features.SeenFeatures.ranges` gives it;
    the table's bounds stand in for what is missing, and for what does not come from a GAN.
    ``training`` is the record to keep. ``decisions`` says how many a balancer makes where nothing else is asked for, by
    default as many as in the suite's longest episodes. Raises ``ValueError`` for a policy of another make or one that
    sees the proxy.
    """
    layers: list[Layer] = []
    weights: dict[str, Tensor] = {}
    for module in _modules(policy):
        layer, tensors = _describe(module)
        weights |= {f"layers.{len(layers)}.{name}": tensor.detach().clone() for name, tensor in tensors.items()}
        layers.append(layer)
    features = feature_table(config.knobs, config.groups)
    spec = PolicySpec(
        knobs=config.knobs,
        groups=config.groups,
        history=config.history,
        action_type=config.action_type,
        moves=config.moves,
        decisions=decisions or max(task.decisions for task in config.resolved_suite().tasks),
        layers=tuple(layers),
        seen={feature.name: _range(feature, (seen or {}).get(feature.name)) for feature in features},
        training=training or {},
    )
    return Policy(spec, weights)


def _range(feature: Feature, seen: tuple[float, float] | None) -> tuple[float, float]:
    if seen is None or not feature.measured:
        return feature.low, feature.high
    margin = _MARGIN * (feature.high - feature.low)
    return seen[0] - margin, seen[1] + margin


def _modules(policy: Any) -> Iterable[nn.Module]:
    """The modules that an observation passes on its way to the greedy action."""
    policy.set_training_mode(False)
    extractors = [module for name, module in policy.named_modules() if name.split(".")[-1].endswith("extractor")]
    extractors = [module for module in extractors if module is not getattr(policy, "mlp_extractor", None)]
    strangers = [type(module).__name__ for module in extractors if not isinstance(module, FlattenExtractor)]
    if strangers:
        raise ValueError(f"features extractor {strangers[0]} cannot be exported; FlattenExtractor can")
    if isinstance(policy, ActorCriticPolicy):
        if isinstance(policy, RecurrentActorCriticPolicy):
            yield policy.lstm_actor
        yield from policy.mlp_extractor.policy_net
        yield from _flat(policy.action_net)
        if policy.squash_output:
            yield nn.Tanh()
    elif isinstance(policy, QRDQNPolicy):
        *body, head = _flat(policy.quantile_net.quantile_net)
        yield from body
        yield _mean_of_quantiles(head, policy.n_quantiles)
    elif isinstance(policy, DQNPolicy):
        yield from _flat(policy.q_net.q_net)
    elif isinstance(policy, TD3Policy):
        yield from _flat(policy.actor.mu)
    elif hasattr(policy, "actor") and hasattr(policy.actor, "latent_pi"):  # SAC, TQC, CrossQ
        yield from _flat(policy.actor.latent_pi)
        yield from _flat(policy.actor.mu)
        yield nn.Tanh()
    else:
        raise ValueError(f"policy class {type(policy).__name__} cannot be exported")


def _flat(module: nn.Module) -> list[nn.Module]:
    return [part for child in module for part in _flat(child)] if isinstance(module, nn.Sequential) else [module]


def _mean_of_quantiles(head: nn.Module, quantiles: int) -> nn.Linear:
    """A linear layer whose outputs are the means of another's outputs over the quantiles of each action."""
    assert isinstance(head, nn.Linear)
    mean = nn.Linear(head.in_features, head.out_features // quantiles)
    mean.weight.data = head.weight.data.reshape(quantiles, -1, head.in_features).mean(0)
    mean.bias.data = head.bias.data.reshape(quantiles, -1).mean(0)
    return mean


def _describe(module: nn.Module) -> tuple[Layer, Mapping[str, Tensor]]:
    if type(module) is nn.Linear:
        return Layer("linear", tuple(reversed(module.weight.shape))), module.state_dict()
    if isinstance(module, nn.LSTM):
        return Layer("lstm", (module.input_size, module.hidden_size, module.num_layers)), module.state_dict()
    if isinstance(module, nn.Hardtanh):
        return Layer("hardtanh", (module.min_val, module.max_val)), {}
    if isinstance(module, BatchRenorm):
        numbers: Mapping[str, Any] = dict(module.named_buffers()) | dict(module.named_parameters())
        deviation = (numbers["ra_var"] + module.eps).sqrt()
        tensors = {"mean": numbers["ra_mean"], "deviation": deviation}
        return Layer("renorm", (module.num_features,)), tensors | {"scale": numbers["scale"], "shift": numbers["bias"]}
    kind = _PLAIN.get(type(module))
    if kind is None or repr(module) != repr(KINDS[kind]()):
        raise ValueError(f"layer {module!r} cannot be exported; known: {', '.join(KINDS)}")
    return Layer(kind), {}
