"""What cannot be compressed, or not so, is refused before anything runs: one sentence that names key, value and what fits."""
import concurrent.futures
import json
import unittest

from program import DMLBENCH, InFolder

CODES, BY = "--set exchange.compressor", "--set exchange.collective"

OUT_OF_RANGE = [
    (f"{CODES}=topk", ("exchange.compressor", "must be an object")),
    (f"{CODES}.name=topq", ("exchange.compressor.name", "topq", "did you mean topk")),
    ({"name": "topk", "k": 0}, ("exchange.compressor.k = 0", "1 ..")),
    ({"name": "topk", "ratio": 0}, ("exchange.compressor.ratio = 0", ".. 1")),
    ({"name": "topk", "ratio": 1.5}, ("exchange.compressor.ratio = 1.5", ".. 1")),
    ({"name": "qsgd", "levels": 0}, ("exchange.compressor.levels = 0", "1 .. 32767")),
    ({"name": "qsgd", "ratio": 0.1}, ("exchange.compressor.ratio", "not of \"qsgd\"")),
    ({"name": "powersgd", "rank": 0}, ("exchange.compressor.rank = 0", "1 ..")),
    ({"name": "threshold", "threshold": -1}, ("exchange.compressor.threshold = -1", "0 ..")),
    (f"{BY}.name=allgathr", ("exchange.collective.name", "allgathr", "did you mean allgather")),
    (f"{BY}.node_ranks=2", ("exchange.collective.node_ranks", "hierarchical")),
    (f"{BY}.name=hierarchical", ("exchange.collective.node_ranks", "missing")),
]
OF_THIS_VECTOR = [
    ({"name": "topk", "k": 100000}, ("\"topk\"", "k = 100000", "can be 26496 at most")),
    ({"name": "randk", "k": 40}, ("\"randk\"", "head.norm.bias", "k = 40", "can be 32 at most"), "--set exchange.unit=tensor"),
    ({"name": "topk", "k": 20, "ratio": 0.5}, ("exchange.compressor.k", "exchange.compressor.ratio", "fits: one of them")),
    ({"name": "qsgd", "levels": 200, "packing": "bytes"}, ("\"bytes\"", "levels = 200", "fits: 127")),
    ({"name": "qsgd", "scale_bits": 20}, ("scale_bits = 20", "fits: 16, 32")),
    ({"name": "terngrad", "coding": "base3", "packing": "bytes"}, ("\"base3\"", "\"bytes\"", "fits: one of them")),
    ({"name": "powersgd"}, ("exchange.unit = \"bucket\"", "\"powersgd\"", "fits: exchange.unit = \"tensor\""),
     "--set exchange.unit=bucket"),
]
CHAINS = [
    ({"name": "topk", "then": {"name": "powersgd"}}, ("exchange.compressor.then.name", "powersgd", "one of")),
    ({"name": "topk", "then": {"name": "dgc"}}, ("exchange.compressor.then.name", "dgc", "one of")),
    ({"name": "topk", "then": {"name": "qsgd", "levels": 0}}, ("exchange.compressor.then.levels = 0", "1 ..")),
    ({"name": "topk", "then": {"name": "none", "then": {"name": "qsgd"}}},
     ("exchange.compressor.then.then.name", "\"none\"", "fits:")),
    ({"name": "none", "then": {"name": "qsgd"}}, ("exchange.compressor.then.name", "\"none\"", "fits: exchange.compressor.name")),
    ({"name": "qsgd", "then": {"name": "topk"}}, ("\"qsgd\"", "\"topk\"", "fits: one that keeps some first")),
    ({"name": "topk", "k": 100, "then": {"name": "topk", "k": 200}}, ("k = 200", "can be 100 at most")),
    ({"name": "topk", "then": {"name": "topk", "then": {"name": "qsgd", "then": {"name": "fp16"}}}},
     ("then.then.then", "no such key")),
]
EXCHANGES = [
    ({"name": "topk"}, ("\"topk\"", "exchange.collective.name = \"allreduce\"", "fits: \"allgather\""), f"{BY}.name=allreduce"),
    ({"name": "qsgd"}, ("\"qsgd\"", "\"gtopk\"", "not lists of entries", "fits:"), f"{BY}.name=gtopk"),
    ({"name": "randk"}, ("\"randk\"", "\"oktopk\"", "fits: \"topk\""), f"{BY}.name=oktopk"),
    ({"name": "sign"}, ("\"sign\"", "\"ring-widened\"", "fits: \"qsgd\", \"terngrad\""), f"{BY}.name=ring-widened"),
    ({"name": "qsgd", "levels": 32767}, ("\"qsgd\"", "16 bits", "3 ranks", "fits:"), f"{BY}.name=ring-widened"),
    ({"name": "powersgd"}, ("\"powersgd\"", "\"two-shot\"", "fits: \"allreduce\""), f"{BY}.name=two-shot"),
    ({"name": "topk"}, ("\"hierarchical\"", "node_ranks is 2", "3 ranks", "a divisor"),
     f"""{BY}='{{"name": "hierarchical", "node_ranks": 2}}'"""),
    ({"name": "fp16"}, ("\"fp16\"", "adds floats only", "exchange.allreduce"), "--set exchange.allreduce=mpi"),
    ({"name": "fp16"}, ("exchange.reduction = \"tree\"", "\"fp16\"", "fits: \"none\""), "--set exchange.reduction=tree"),
    ({"name": "fp16"}, ("parallel.zero = 2", "\"fp16\"", "fits: parallel.zero = 0 or 1"), "--set parallel.zero=2"),
    ("--set exchange.reduction=tree", ("exchange.reduction", "\"allgather\"", "fits:"), f"{BY}.name=allgather"),
]
FEEDBACK = [
    ("--set exchange.error_feedback=true", ("exchange.error_feedback = true", "\"none\"", "fits:")),
    ({"name": "dgc"}, ("\"dgc\"", "fits: exchange.error_feedback = false"), "--set exchange.error_feedback=true"),
    ({"name": "topk"}, ("exchange.error_decay = 0.5", "fits: exchange.error_feedback = true"), "--set exchange.error_decay=0.5"),
    ({"name": "topk"}, ("exchange.error_decay = 2", "0 .. 1"), "--set exchange.error_decay=2"),
]


class Refused(InFolder):
    def assert_all_refused(self, mistakes, ranks=1):
        """Four at a time: a start is mostly waiting."""
        commands = [" ".join(["--config tiny.json", wrong if isinstance(wrong, str) else f"{CODES}='{json.dumps(wrong)}'", *more])
                    for wrong, _, *more in mistakes]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            ended = pool.map(lambda c: self.dmlbench(c, ranks) if ranks > 1 else self.command(f"{DMLBENCH} {c}"), commands)
        for command, done, (_, parts, *_) in zip(commands, ended, mistakes):
            with self.subTest(command=command):
                self.assert_refused(done, 2, *parts)
        self.assertEqual(self.results(), [])

    def test_options_that_no_vector_could_have(self):
        self.assert_all_refused(OUT_OF_RANGE)

    def test_options_that_this_vector_cannot_have(self):
        self.assert_all_refused(OF_THIS_VECTOR)

    def test_chains_that_make_no_sense(self):
        self.assert_all_refused(CHAINS)

    def test_codes_that_cannot_ride(self):
        self.assert_all_refused(EXCHANGES, ranks=3)

    def test_error_feedback_where_nothing_is_lost_or_kept(self):
        self.assert_all_refused(FEEDBACK)

    def test_explaining_refuses_as_running_does(self):
        self.assert_refused(self.dmlbench(f"--config tiny.json --explain {CODES}.name=topk {BY}.name=allreduce", ranks=3), 2,
                            "\"topk\"", "fits: \"allgather\"")


if __name__ == "__main__":
    unittest.main()
