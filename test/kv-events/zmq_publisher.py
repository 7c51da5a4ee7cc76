"""A publisher of KV events as engines have it, over libzmq: PUB and, with a replay, ROUTER. Reads commands as lines of JSON, and answers each with a line.

  {"do": "start", "bind": true, "port": 0, "replay": true, "topic": "kv@w", "heartbeat_ms": 0}    -> {"port": .., "replay_port": ..}
  {"do": "publish", "payloads": ["hex", ..]}     -> {"sequence": next}
  {"do": "skip", "count": 3}                     batches that are published to nobody -> {"sequence": next}
  {"do": "stop"}                                 closes the sockets -> {}
"""

import json
import sys
import threading
import time

import zmq

END = (-1).to_bytes(8, "big", signed=True)


class Publisher:
    def __init__(self, bind, port, replay, topic, heartbeat_ms):
        self.context = zmq.Context()
        self.topic = topic.encode()
        self.sequence = 0
        self.kept = []
        self.is_stopping = False
        self.lock = threading.Lock()
        self.pub = self.context.socket(zmq.PUB)
        if heartbeat_ms:
            self.pub.setsockopt(zmq.HEARTBEAT_IVL, heartbeat_ms)
            self.pub.setsockopt(zmq.HEARTBEAT_TIMEOUT, heartbeat_ms * 3)
        if bind:
            self.port = self.listen(self.pub, port)
        else:
            self.pub.connect(f"tcp://127.0.0.1:{port}")
            self.port = port
        self.replay_port = None
        if replay:
            self.router = self.context.socket(zmq.ROUTER)
            self.replay_port = self.listen(self.router, replay if replay is not True else 0)
            self.thread = threading.Thread(target=self.serve, daemon=True)
            self.thread.start()

    @staticmethod
    def listen(socket, port):
        if port:
            for _ in range(50):
                try:
                    socket.bind(f"tcp://127.0.0.1:{port}")
                    return port
                except zmq.ZMQError:
                    time.sleep(0.1)  # A connection of before may still have the port.
        return socket.bind_to_random_port("tcp://127.0.0.1")

    def serve(self):
        # Only this thread touches the socket: libzmq aborts where another one closes it meanwhile.
        while not self.is_stopping:
            if not self.router.poll(20):
                continue
            client, _empty, start = self.router.recv_multipart()
            first = int.from_bytes(start, "big")
            with self.lock:
                kept = [one for one in self.kept if one[0] >= first]
            for sequence, payload in kept:
                self.router.send_multipart((client, b"", self.topic, sequence.to_bytes(8, "big"), payload))
            self.router.send_multipart((client, b"", b"", END, b""))
        self.router.close(linger=0)

    def publish(self, payloads):
        for payload in payloads:
            with self.lock:
                self.kept.append((self.sequence, payload))
            self.pub.send_multipart((self.topic, self.sequence.to_bytes(8, "big"), payload))
            self.sequence += 1

    def skip(self, count):
        for _ in range(count):
            with self.lock:
                self.kept.append((self.sequence, b"\x92\x00\x90"))
            self.sequence += 1

    def stop(self):
        self.is_stopping = True
        if self.replay_port is not None:
            self.thread.join()
        self.context.destroy(linger=0)


def main():
    publisher = None
    for line in sys.stdin:
        command = json.loads(line)
        do = command.pop("do")
        answer = {}
        if do == "start":
            publisher = Publisher(**command)
            answer = {"port": publisher.port, "replay_port": publisher.replay_port}
        elif do == "publish":
            publisher.publish([bytes.fromhex(one) for one in command["payloads"]])
            answer = {"sequence": publisher.sequence}
        elif do == "skip":
            publisher.skip(command["count"])
            answer = {"sequence": publisher.sequence}
        elif do == "stop":
            publisher.stop()
        print(json.dumps(answer), flush=True)


main()
