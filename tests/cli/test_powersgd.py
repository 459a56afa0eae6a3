"""PowerSGD in training, through the program: what is sent as it is must leave nothing behind."""
import unittest

from program import InFolder

SET = "--config tiny.json --set exchange.compressor.name=powersgd --set exchange.error_feedback=true --set exchange.compressor."


class PowerSGD(InFolder):
    def test_before_its_start_it_trains_as_without_compression_bit_for_bit(self):
        dense = self.run_ok(ranks=2)
        late = self.run_ok(f"{SET}start_step=1000", ranks=2)
        self.assertEqual(late["samples"]["loss"], dense["samples"]["loss"])
        self.assertEqual(late["correctness"]["parameter_hash"], dense["correctness"]["parameter_hash"])

    def test_it_sends_the_bytes_of_its_factors_and_of_vectors_as_they_are(self):
        result = self.run_ok(f"{SET}rank=2", ranks=2)
        C, V, T, r = 32, 16, 16, 2
        matrices = [(V, C), (T, C)] + 2 * [(3 * C, C), (C, C), (4 * C, C), (C, 4 * C)]
        vectors = 2 * 13 * C + 2 * C  # biases and norms
        floats = vectors + sum(r * (a + b) if r * (a + b) * 2 < a * b else a * b for a, b in matrices)
        steps = len(result["samples"]["loss"])
        sent = [row["wire_B_counted"] for row in result["comm"] if row["name"] == "gradient"]
        self.assertEqual(sum(sent), 2 * 4 * floats * steps)
        self.assertTrue(result["comm_total"]["match"])


if __name__ == "__main__":
    unittest.main()
