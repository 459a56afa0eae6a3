"""Configs and results through the command line: keys, schemas (as jsonschema understands them), sentences, the result's file."""
import copy
import hashlib
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", "build")).absolute()
SMALL = ["--set", "measure.steps=8", "--set", "measure.warmup_steps=2", "--quiet"]


def dmlbench(*arguments, cwd=ROOT):
    done = subprocess.run([BUILD / "dmlbench", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=100)
    return done.returncode, done.stdout, done.stderr


def schema(which):
    return jsonschema.Draft7Validator(json.loads(dmlbench("--schema", which)[1]))


class Config(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.schema = schema("config")

    def refused(self, arguments, sentence):
        code, out, err = dmlbench(*arguments)
        self.assertEqual((code, out, err), (2, "", f"dmlbench: {sentence}\n"))

    def test_the_schema_is_valid_draft_7(self):
        jsonschema.Draft7Validator.check_schema(self.schema.schema)

    def test_every_shipped_config_fits_program_and_schema_and_says_why(self):
        paths = sorted(ROOT.glob("configs/*.json"))
        self.assertGreaterEqual(len(paths), 4)
        for path in paths:
            config = json.loads(path.read_text())
            self.assertEqual(next(iter(config)), "why", path)
            if "variants" in config:  # scripts/compare's
                continue
            self.schema.validate(config)
            self.assertEqual(dmlbench("--validate", path), (0, f"{path}: valid\n", ""))

    def test_every_variant_that_is_compared_is_a_config(self):
        for path in ROOT.glob("configs/*.json"):
            plan = json.loads(path.read_text())
            for name, settings in plan.get("variants", {}).items():
                with self.subTest(file=path.name, variant=name):
                    settings = {**plan.get("settings", {}), **settings}
                    sets = [word for key, value in settings.items() for word in ("--set", f"{key}={json.dumps(value)}")]
                    code, out, err = dmlbench("--config", ROOT / "configs" / plan["base"], *sets, "--explain")
                    self.assertEqual((code, err), (0, ""))

    def test_program_and_schema_refuse_the_same_mutants(self):
        good = json.loads((ROOT / "configs/topk.json").read_text())
        mutants = [("batch", "mirco", 8), ("batch", "micro", 0), ("batch", "micro", 1.5), ("batch", "micro", "8"),
                   ("exchange", "allreduce", "rign"), ("exchange", "overlap", 1),
                   ("exchange", "compressor", {"name": "none", "ratio": 1}),
                   ("exchange", "compressor", {"name": "topk", "then": {"name": "qsgd", "levelz": 3}}),
                   ("exchange", "compressor", "topk"), ("model", "name", "mlp"), ("model", "classes", 10), ("data", "path", []),
                   ("data", "noise", 0.1), ("parallel", "data", "all"), ("measure", "steps", None)]
        for section, key, value in mutants:
            with self.subTest(section=section, key=key, value=value), tempfile.TemporaryDirectory() as folder:
                mutant = copy.deepcopy(good)
                mutant.setdefault(section, {})[key] = value
                self.assertFalse(self.schema.is_valid(mutant))
                path = pathlib.Path(folder, "mutant.json")
                path.write_text(json.dumps(mutant))
                code, _, err = dmlbench("--validate", path)
                self.assertEqual(code, 2)
                self.assertIn(section, err)

    def test_keys_lists_every_key_of_the_schema_once_per_owner(self):
        rows = dmlbench("--keys")[1].splitlines()[1:]
        listed = [row.split()[0] for row in rows]

        def paths(node, prefix=""):
            for name, child in node.get("properties", {}).items():
                if not child:
                    continue  # of a family's member: anything, because it is described beside the members
                inner = [*child.get("oneOf", []), child] if "oneOf" in child or "properties" in child else []
                for object_ in inner:
                    yield from paths(object_, f"{prefix}{name}.")
                if not inner:
                    yield prefix + name

        self.assertEqual(set(listed), set(paths(self.schema.schema)))
        owners = [tuple(row[:43].split()) for row in rows]
        self.assertEqual(len(owners), len(set(owners)))

    def test_misfits_end_with_status_2_and_one_sentence(self):
        self.refused(["--config", "none.json"], "none.json: no such file, neither here nor in configs/")
        self.refused(["--config", "mlp.json", "--set", "batch.mirco=1"],
                     "--set: batch.mirco: no such key; did you mean batch.micro?")
        self.refused(["--config", "mlp.json", "--set", "parallel.data=4"],
                     "mlp.json: parallel.data x parallel.pipeline x parallel.tensor = 4 x 1 x 1 does not make 1 rank (fits: 1 x 1 x 1, "
                     "or another number of ranks: 4)")
        self.refused(["--config", "mlp.json", "--set", "parallel.sequence=true"],
                     "mlp.json: parallel.sequence = true, but with parallel.tensor = 1 no rank shares a sequence with another (fits: "
                     "parallel.tensor = 2 or more)")

    def test_explain_shows_the_settings_and_runs_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            code, out, err = dmlbench("--config", ROOT / "configs/mlp.json", "--set", "seed=77", "--explain", cwd=folder)
            self.assertEqual((code, err), (0, ""))
            layout, config = out.split("\nconfig, with its defaults\n")
            self.assertTrue(layout.startswith("model "), layout)
            self.assertEqual(json.loads(config)["seed"], 77)
            self.assertEqual(os.listdir(folder), [])

    def test_a_progress_thread_cannot_be_simulated(self):
        simulated = [ROOT / "tests/smpirun", "-np", "2", BUILD / "sim/dmlbench", "--config", "mlp.json", "--set", "exchange.progress=thread"]
        done = subprocess.run(simulated, cwd=ROOT, capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, 2)
        self.assertIn("exchange.progress = \"thread\" cannot be simulated", done.stderr)

    def test_the_documents_are_in_step_with_the_tables(self):
        for name in ("config", "results"):
            show = [BUILD / "mpi/tests/bench/show_documents", name]
            made = subprocess.run(show, capture_output=True, text=True, check=True).stdout
            self.assertEqual((ROOT / f"docs/{name}.md").read_text(), made, "make docs")


class Result(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = pathlib.Path(cls.folder.name, "a.json")
        cls.answer = dmlbench("--config", "mlp.json", *SMALL, "--out", cls.path)
        cls.result = json.loads(cls.path.read_text(), parse_constant=lambda word: 1 / 0)  # NaN and Infinity are not JSON

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_a_result_fits_program_and_schema(self):
        self.assertEqual(self.answer, (0, "", ""))
        self.assertEqual(dmlbench("--validate", self.path), (0, f"{self.path}: valid\n", ""))
        validator = schema("result")
        jsonschema.Draft7Validator.check_schema(validator.schema)
        validator.validate(self.result)

    def test_the_hash_is_that_of_the_sorted_config_without_why_name_and_plan(self):
        work = {key: value for key, value in self.result["config"].items() if key not in ("why", "name", "plan")}
        canonical = json.dumps(work, sort_keys=True, separators=(",", ":"))
        self.assertEqual(self.result["config_sha256"], hashlib.sha256(canonical.encode()).hexdigest())

    def test_a_result_is_no_config_but_has_one(self):
        said = f"{self.path}: this is a result; the config of its run is what stands there under the key \"config\"\n"
        for program in ("dmlbench", "dmlplan"):
            done = subprocess.run([BUILD / program, "--config", self.path], capture_output=True, text=True, timeout=100)
            self.assertEqual((done.returncode, done.stderr), (2, f"{program}: {said}"))
        config = self.path.with_name("again.json")
        config.write_text(json.dumps(self.result["config"]))
        self.assertEqual(dmlbench("--validate", config)[0], 0)

    def test_a_mutated_result_is_refused_by_program_and_schema(self):
        validator = schema("result")
        for path, value in ((("run", "exit_code"), "0"), (("metrics", "mfu_fraction"), 1), (("comm", 0, "calls"), None),
                            (("platform", "ranks", 0, "host"), 1), (("samples", "step_s"), [[1, "2"]])):
            with self.subTest(path=path):
                mutant = copy.deepcopy(self.result)
                node = mutant
                for step in path[:-1]:
                    node = node[step]
                node[path[-1]] = value
                self.assertFalse(validator.is_valid(mutant))
                file = self.path.with_name("mutant.json")
                file.write_text(json.dumps(mutant))
                code, _, err = dmlbench("--validate", file)
                self.assertEqual(code, 2)
                self.assertIn(str(path[-1]), err)


if __name__ == "__main__":
    unittest.main()
