"""Frames."""

import json
import socket
import threading
import unittest

from hypha_kernel import wire


def pair():
    left, right = socket.socketpair()
    return wire.Channel(left), wire.Channel(right)


class WireTest(unittest.TestCase):
    def setUp(self):
        self.left, self.right = pair()

    def tearDown(self):
        self.left.sock.close()
        self.right.sock.close()

    def test_frames_come_out_as_they_went_in(self):
        self.left.send({"a": "é\ud800"}, b"blob")
        self.left.send({})
        self.assertTrue(self.right.feed())
        self.assertEqual(list(self.right.take()), [({"a": "é\ud800"}, b"blob"), ({}, b"")])

    def test_a_frame_is_taken_only_when_it_is_complete(self):
        data = wire.encode({"n": 1}, b"x")
        for byte in data[:-1]:
            self.left.sock.sendall(bytes([byte]))
            self.right.feed()
            self.assertEqual(list(self.right.take()), [])
        self.left.sock.sendall(data[-1:])
        self.right.feed()
        self.assertEqual(list(self.right.take()), [({"n": 1}, b"x")])

    def test_feed_tells_waiting_from_the_end(self):
        self.assertTrue(self.right.feed())
        self.left.sock.close()
        self.assertFalse(self.right.feed())

    def test_a_length_that_cannot_be_meant_is_refused(self):
        self.left.sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        self.right.feed()
        with self.assertRaises(ValueError):
            list(self.right.take())

    def test_threads_do_not_mix_their_frames(self):
        def send(n):
            for _ in range(50):
                self.left.send({"n": n, "pad": "x" * 5000})

        threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        seen = []
        while len(seen) < 200:
            self.right.feed()
            seen += [header["n"] for header, _ in self.right.take()]
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(seen), sorted(list(range(4)) * 50))

    def test_what_json_does_not_know_is_replaced(self):
        header = {"n": float("nan"), "i": [float("-inf"), 1.5], (1, 2): {"s": {3}}}
        text = wire.encode(header)[8:].decode("ascii")
        self.assertEqual(json.loads(text), {"n": None, "i": [None, 1.5], "(1, 2)": {"s": "{3}"}})


if __name__ == "__main__":
    unittest.main()
