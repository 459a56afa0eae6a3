"""Model proxy: sizes and flops of networks that have no arithmetic here. What was published of ResNets is the oracle."""
import json
import unittest

from program import ROOT, InFolder, built

# He et al. 2016: parameters (of the networks as torchvision ships them), and 1e9 multiply-adds of an image in table 1.
RESNETS = {"resnet18": (11689512, 1.8), "resnet50": (25557032, 3.8)}
RATE = 1e13


class Proxy(InFolder):
    def simulate(self, config, ranks, sets=()):
        words = "".join(f" --set '{s}'" for s in sets)
        return self.command(f"{built('dmlrun')} -np {ranks} --config {config} --simulate cluster-64.json --quiet"
                            f" --out r.json --set compute.rate_flop_per_s={RATE:g}{words}", timeout=200)

    def test_resnets_have_their_published_parameters_and_multiply_adds(self):
        for name, (parameters, multiply_adds) in RESNETS.items():
            layers = json.loads((ROOT / f"configs/{name}.json").read_text())["model"]["layers"]
            self.assertEqual(sum(rows * columns + vector for rows, columns, vector, _, _ in layers), parameters)
            self.assertAlmostEqual(sum(layer[3] for layer in layers) / 2e9 / multiply_adds, 1, delta=0.1)

    def test_a_step_takes_its_flops_and_sends_its_gradients(self):
        config = "resnet18.json"
        flop = [layer[3] for layer in json.loads((ROOT / "configs" / config).read_text())["model"]["layers"]]
        done = self.simulate(config, 4, ["batch.global=256", "exchange.overlap=false"])
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads((self.folder / "r.json").read_text())
        phases = {name: ranks[0][1] for name, ranks in result["samples"]["phase_s"].items()}
        self.assertAlmostEqual(phases["forward"] * RATE / (64 * sum(flop)), 1, places=9)
        self.assertAlmostEqual(phases["backward"] * RATE / (64 * (2 * sum(flop) - flop[0])), 1, places=9)
        gradient = next(row["wire_B_counted"] for row in result["comm"] if row["name"] == "gradient")
        self.assertEqual(gradient, 2 * 2 * 3 * 4 * RESNETS["resnet18"][0])  # steps, reduce and gather, p - 1, floats

    def test_it_needs_a_compute_that_computes_nothing_and_rows_that_are_sizes(self):
        proxy = {"model": {"name": "proxy", "inputs": 4, "layers": [[2, 4, 2, 16, 2], [3, 2, 0, 12, 3]]},
                 "data": {"name": "synthetic"}, "batch": {"global": 2, "micro": 1}, "compute": {"name": "model"},
                 "measure": {"steps": 1, "warmup_steps": 0, "verify": False}}
        for change, says in (("compute.name=blas", 'has sizes and no arithmetic (fits: compute.name = "model"'),
                             ("model.layers=[[2,4,2]]", "must be a list of [rows, columns, vector, flop, outputs]"),
                             ("model.layers=[[2,4,2,16,2],[0,2,0,12,3]]", "has 0 in row 1, column 0 (a whole number from 1 on"),
                             ("model.layers=[[2,4,0.5,16,2]]", "has 0.5 in row 0, column 2 (a whole number from 0 on fits)"),
                             ("parallel.tensor=2", "does not say how its layers would be split (fits: parallel.tensor = 1)")):
            with self.subTest(change=change):
                done = self.simulate(self.write("proxy.json", json.dumps(proxy)).name, 2, [change])
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(says, done.stderr)
        self.assertEqual(self.simulate("proxy.json", 2).returncode, 0)


if __name__ == "__main__":
    unittest.main()
