"""Whole training runs against the papers' formulas in double precision: models, loss, optimizers, batches, counts of flop.

tests/bench/show_training.c prints the initial parameters, the samples and the outcome of some steps; this computes the outcome
anew. A layer here is a function x -> (y, back), where back(dy) adds the gradients of its parameters to a table and returns dx;
chains and residual branches are made of layers, so the backward pass of the whole is not written anywhere. The gradients are
compared with difference quotients, so that the reference is not wrong either.

Sources: Radford et al. 2019 (GPT-2), Vaswani et al. 2017 (attention), Ba, Kiros, Hinton 2016 (norm), Hendrycks & Gimpel 2016
(gelu), Loshchilov & Hutter 2019 (AdamW), Sutskever et al. 2013 (momentum).
"""
import json
import unittest
from functools import partial

import numpy

from program import InFolder, built

GPT = {"name": "gpt", "layers": 2, "hidden": 24, "heads": 3, "sequence": 10, "vocabulary": 17, "tied": True}
MLP = {"name": "mlp", "inputs": 20, "hidden": 33, "layers": 2, "classes": 5}
# AdamW divides by the root of the gradient's own size: with PyTorch's epsilon of 1e-8 the rounding of a gradient that is 0 (that of
# the keys' bias is, as softmax does not see it) becomes a whole step. 1e-3 is far above such rounding.
ADAMW = {"name": "adamw", "learning_rate": 0.02, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3, "weight_decay": 0.1}
MOMENTUM = {"name": "momentum", "learning_rate": 0.2, "momentum": 0.7, "weight_decay": 0.1}
NESTEROV = {**MOMENTUM, "nesterov": True}
SGD = {"name": "sgd", "learning_rate": 0.5, "weight_decay": 0.1}
STEPS, BATCH = 3, {"global": 6, "micro": 2}


# ---- layers ------------------------------------------------------------------------------------------------------------------


class Layers:
    """Makes layers from the parameters p[name], with their gradients in g[name]."""

    def __init__(self, p):
        self.p, self.g = p, {name: numpy.zeros_like(value) for name, value in p.items()}

    def linear(self, name, x):
        w = self.p[f"{name}.weight"]

        def back(dy):
            rows = tuple(range(x.ndim - 1))
            self.g[f"{name}.weight"] += numpy.tensordot(x, dy, (rows, rows))
            self.g[f"{name}.bias"] += dy.sum(rows)
            return dy @ w.T
        return x @ w + self.p[f"{name}.bias"], back

    def head(self, name, x):
        """Logits are products with the rows of a table of symbols."""
        table = self.p[name]

        def back(dy):
            self.g[name] += numpy.tensordot(dy, x, ((0, 1), (0, 1)))
            return dy @ table
        return x @ table.T, back

    def embedding(self, symbols):
        def back(dy):
            numpy.add.at(self.g["embedding.token"], symbols, dy)
            self.g["embedding.position"] += dy.sum(0)
        return self.p["embedding.token"][symbols] + self.p["embedding.position"], back

    def norm(self, name, x):
        gain = self.p[f"{name}.gain"]
        centred = x - x.mean(-1, keepdims=True)
        deviation = numpy.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        unit = centred / deviation

        def back(dy):
            self.g[f"{name}.gain"] += (dy * unit).sum((0, 1))
            self.g[f"{name}.bias"] += dy.sum((0, 1))
            du = dy * gain
            return (du - du.mean(-1, keepdims=True) - unit * (du * unit).mean(-1, keepdims=True)) / deviation
        return unit * gain + self.p[f"{name}.bias"], back


def softmax(x):
    e = numpy.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(heads, qkv):
    samples, positions, width = qkv.shape
    shape = (samples, positions, 3, heads, width // 3 // heads)
    q, k, v = qkv.reshape(shape).transpose(2, 0, 3, 1, 4)  # each [samples, heads, positions, channels of a head]
    scale = q.shape[-1] ** -0.5
    future = numpy.triu(numpy.full((positions, positions), -numpy.inf), 1)
    attended = softmax(scale * q @ k.swapaxes(-1, -2) + future)

    def back(dy):
        dy = dy.reshape(samples, positions, heads, -1).swapaxes(1, 2)
        da = dy @ v.swapaxes(-1, -2)
        ds = attended * (da - (da * attended).sum(-1, keepdims=True))
        parts = scale * ds @ k, scale * ds.swapaxes(-1, -2) @ q, attended.swapaxes(-1, -2) @ dy
        return numpy.stack(parts).transpose(1, 3, 0, 2, 4).reshape(qkv.shape)
    return (attended @ v).swapaxes(1, 2).reshape(samples, positions, -1), back


def gelu(x):
    c = numpy.sqrt(2 / numpy.pi)
    t = numpy.tanh(c * (x + 0.044715 * x**3))
    return 0.5 * x * (1 + t), lambda dy: dy * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * c * (1 + 3 * 0.044715 * x**2))


def relu(x):
    return numpy.maximum(x, 0), lambda dy: dy * (x > 0)


def cross_entropy(targets, logits):
    """Its mean over all targets."""
    p = softmax(logits)
    hit = numpy.arange(logits.shape[-1]) == targets.reshape(*logits.shape[:-1], 1)
    return -numpy.log(p[hit]).mean(), lambda dy: dy * (p - hit) / targets.size


def chain(layers, x):
    backs = []
    for layer in layers:
        x, back = layer(x)
        backs.append(back)

    def back_through_all(dy):
        for back in reversed(backs):
            dy = back(dy)
        return dy
    return x, back_through_all


def residual(layers, x):
    y, back = chain(layers, x)
    return x + y, lambda dy: dy + back(dy)


# ---- models and optimizers ---------------------------------------------------------------------------------------------------


def gpt(model, f):
    yield f.embedding
    for block in (f"block.{i}" for i in range(model["layers"])):
        yield partial(residual, [partial(f.norm, f"{block}.norm1"), partial(f.linear, f"{block}.qkv"),
                                 partial(attention, model["heads"]), partial(f.linear, f"{block}.proj")])
        yield partial(residual, [partial(f.norm, f"{block}.norm2"), partial(f.linear, f"{block}.fc"), gelu,
                                 partial(f.linear, f"{block}.out")])
    yield partial(f.norm, "head.norm")
    yield partial(f.head, "embedding.token" if model["tied"] else "head.weight")


def mlp(model, f):
    for i in range(model["layers"]):
        yield partial(f.linear, f"hidden.{i}")
        yield relu
    yield partial(f.linear, "last")


def loss_and_gradients(model, p, inputs, targets):
    f = Layers(p)
    layers = {"gpt": gpt, "mlp": mlp}[model["name"]](model, f)
    loss, back = chain([*layers, partial(cross_entropy, targets)], inputs)
    back(1)
    return loss, f.g


# An optimizer takes its options, the step counted from 1, a parameter with its gradient and decay, and what it keeps between steps.


def adamw(o, t, w, g, decay, kept):
    m = kept["m"] = o["beta1"] * kept.get("m", 0) + (1 - o["beta1"]) * g
    v = kept["v"] = o["beta2"] * kept.get("v", 0) + (1 - o["beta2"]) * g**2
    m_hat, v_hat = m / (1 - o["beta1"] ** t), v / (1 - o["beta2"] ** t)
    return w - o["learning_rate"] * (m_hat / (numpy.sqrt(v_hat) + o["epsilon"]) + decay * w)


def momentum(o, _t, w, g, decay, kept):
    d = g + decay * w
    v = kept["v"] = o["momentum"] * kept.get("v", 0) + d
    return w - o["learning_rate"] * (d + o["momentum"] * v if o.get("nesterov") else v)


def sgd(o, _t, w, g, decay, _kept):
    return w - o["learning_rate"] * (g + decay * w)


def train(model, optimizer, p, batches):
    """Losses before each step, and the parameters at the end."""
    losses, kept = [], {name: {} for name in p}
    step = {"adamw": adamw, "momentum": momentum, "sgd": sgd}[optimizer["name"]]
    decays = {name: 0 if name.endswith(("bias", "gain")) else optimizer["weight_decay"] for name in p}
    for t, (inputs, targets) in enumerate(batches, 1):
        rate = optimizer["learning_rate"] * min(1, t / optimizer.get("warmup_steps", 1))
        loss, gradients = loss_and_gradients(model, p, inputs, targets)
        losses.append(loss)
        p = {name: step({**optimizer, "learning_rate": rate}, t, p[name], gradients[name], decays[name], kept[name]) for name in p}
    return losses, p


# ---- tests -------------------------------------------------------------------------------------------------------------------


class Shown:
    """What show_training printed."""

    def __init__(self, text):
        shown = json.loads(text)
        self.shapes = {name: (rows, columns) if rows > 1 else (columns,) for name, rows, columns in shown["slices"]}
        self.initial, self.final = self.cut(shown["initial"]), self.cut(shown["final"])
        self.losses = [step["loss"] for step in shown["steps"]]
        self.batches = [[numpy.array(part) for part in zip(*step["samples"])] for step in shown["steps"]]
        self.samples = [json.dumps(sample) for step in shown["steps"] for sample in step["samples"]]

    def cut(self, flat):
        ends = numpy.cumsum([numpy.prod(shape) for shape in self.shapes.values()])
        parts = numpy.split(numpy.array(flat), ends[:-1])
        return {name: part.reshape(shape) for (name, shape), part in zip(self.shapes.items(), parts)}


class Reference(InFolder):
    def show(self, model, optimizer=SGD, batch=BATCH, steps=STEPS):
        config = {"model": model, "data": {"name": "synthetic"}, "batch": batch, "optimizer": optimizer, "measure": {"steps": 1}}
        self.write("shown.json", json.dumps(config))
        done = self.command(f"mpirun -q -np 1 {built('mpi/tests/bench/show_training')} shown.json {steps}")
        self.assertEqual(done.returncode, 0, done.stderr)
        return Shown(done.stdout)

    def assert_learns_as_the_formulas_say(self, model, optimizer, batch=BATCH):
        """Single precision leaves up to 3e-7 of a loss, 6e-6 of the way that a matrix or vector goes (36 runs on three kernels of
        OpenBLAS), and in each step half a unit in the last place of every parameter."""
        with self.subTest(model=model, optimizer=optimizer, batch=batch):
            shown = self.show(model, optimizer, batch)
            losses, final = train(model, optimizer, shown.initial, shown.batches)
            numpy.testing.assert_allclose(shown.losses, losses, rtol=1e-6)
            for name, expected in final.items():
                error, way = (numpy.linalg.norm(x[name] - expected) for x in (shown.final, shown.initial))
                self.assertGreater(way, 0, name)
                self.assertLess(error, 1e-5 * way + STEPS * 2.0**-24 * numpy.linalg.norm(expected), name)

    def test_gpt_learns_as_the_formulas_say(self):
        self.assert_learns_as_the_formulas_say(GPT, ADAMW)
        self.assert_learns_as_the_formulas_say({**GPT, "tied": False}, NESTEROV)

    def test_mlp_learns_as_the_formulas_say_with_every_optimizer(self):
        for optimizer in (ADAMW, MOMENTUM, NESTEROV, SGD):
            self.assert_learns_as_the_formulas_say(MLP, optimizer)

    def test_the_learning_rate_warms_up(self):
        for optimizer in (ADAMW, MOMENTUM, SGD):
            for steps in (2, 3, 10):
                self.assert_learns_as_the_formulas_say(MLP, {**optimizer, "warmup_steps": steps})

    def test_micro_batches_of_any_size_learn_from_the_same_samples(self):
        for micro in (1, 3, 6):
            self.assert_learns_as_the_formulas_say(MLP, SGD, {"global": 6, "micro": micro})
        for batch in ({"global": 7, "micro": 3}, {"global": 5, "micro": 4}):  # micro-batches of different sizes
            self.assert_learns_as_the_formulas_say(MLP, SGD, batch)
            self.assert_learns_as_the_formulas_say(GPT, ADAMW, batch)

    def test_gradients_of_the_reference_are_difference_quotients(self):
        random, h = numpy.random.default_rng(1), 1e-5
        for model in (GPT, {**GPT, "tied": False}, MLP):
            shown = self.show(model, steps=1)
            p = {name: x + random.normal(0, 0.3, x.shape) for name, x in shown.initial.items()}
            gradients = loss_and_gradients(model, p, *shown.batches[0])[1]
            for name, gradient in gradients.items():
                way = random.normal(0, 1, gradient.shape)
                ahead, behind = (loss_and_gradients(model, {**p, name: p[name] + step * way}, *shown.batches[0])[0]
                                 for step in (h, -h))
                error = abs((ahead - behind) / (2 * h) - numpy.sum(gradient * way))
                self.assertLess(error, 1e-6 * numpy.linalg.norm(gradient), name)

    def test_no_sample_comes_twice_and_batches_of_any_size_cut_the_same_stream(self):
        for model in (MLP, {**GPT, "sequence": 64}):  # 64 symbols that follow each other with noise 0.1 do not repeat
            stream = self.show(model, batch={"global": 6, "micro": 2}, steps=4).samples
            self.assertEqual(len(set(stream)), 24)
            self.assertEqual(self.show(model, batch={"global": 8, "micro": 8}, steps=3).samples, stream)

    def test_initial_values_have_the_deviations_of_the_papers(self):
        """The deviation of n normal numbers is off by 1 / sqrt(2 n) of itself, their mean by 1 / sqrt(n): 5 times that fits."""
        residual_deviation = 0.02 / numpy.sqrt(2 * 3)
        gpt_deviations = {"token": 0.02, "position": 0.01, "qkv.weight": 0.02, "proj.weight": residual_deviation,
                          "fc.weight": 0.02, "out.weight": residual_deviation, "head.weight": 0.02}
        mlp_deviations = {"hidden.0.weight": numpy.sqrt(2 / 20), "hidden.1.weight": numpy.sqrt(2 / 33),
                          "last.weight": numpy.sqrt(2 / 33)}
        for model, deviations in (({**GPT, "layers": 3, "tied": False}, gpt_deviations), (MLP, mlp_deviations)):
            values = self.show(model, steps=0).initial
            matrices = {name: x for name, x in values.items() if not name.endswith(("gain", "bias"))}
            for name in values.keys() - matrices.keys():
                numpy.testing.assert_array_equal(values[name], name.endswith("gain"), name)
            for name, x in matrices.items():
                expected = next(value for part, value in deviations.items() if name.endswith(part))
                self.assertLess(abs(x.std() / expected - 1), 5 / numpy.sqrt(2 * x.size), name)
                self.assertLess(abs(x.mean() / expected), 5 / numpy.sqrt(x.size), name)
            self.assertEqual(len({x.flat[0] / x.std() for x in matrices.values()}), len(matrices))  # no two begin alike

    def test_flop_are_those_of_the_matrix_products(self):
        """Two for each multiplication of one sample's forward pass, counted by hand.

        gpt, per position: qkv 8 x 24, proj 8 x 8, fc 8 x 32, out 32 x 8 are 768 in each block; head 8 x 11. Four positions look
        at 1 + 2 + 3 + 4 = 10 keys and as many values of 8 channels. Each product has two gradients of its size, but for the
        inputs of mlp's first matrix, which need none."""
        tiny_gpt = {"name": "gpt", "layers": 2, "hidden": 8, "heads": 2, "sequence": 4, "vocabulary": 11}
        tiny_mlp = {"name": "mlp", "inputs": 3, "hidden": 5, "layers": 2, "classes": 4}
        blocks, keys_and_values, head = 2 * 4 * 768, 2 * 2 * 10 * 8, 4 * 88
        for model, forward, backward in ((tiny_gpt, blocks + keys_and_values + head, 2 * (blocks + keys_and_values + head)),
                                         (tiny_mlp, 15 + 25 + 20, 15 + 2 * (25 + 20))):
            self.write("flop.json", json.dumps({"model": model, "data": {"name": "synthetic"}, "batch": BATCH,
                                                "measure": {"steps": 1, "warmup_steps": 0}}))
            result = self.run_ok("--config flop.json")["model"]
            self.assertEqual((result["flop_forward"], result["flop_backward"]), (2 * 6 * forward, 2 * 6 * backward))


if __name__ == "__main__":
    unittest.main()
