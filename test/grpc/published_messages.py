"""
Messages of the engines' published gRPC package (smg-grpc-proto), every field filled, and a comparison of what came back.

  published_messages.py make          prints JSON lines [file, message, base64]
  published_messages.py compare       reads lines [file, message, base64, base64 that came back]; prints those that differ
"""

import base64
import json
import random
import sys

from google.protobuf import message_factory
from smg_grpc_proto.generated import common_pb2, sglang_scheduler_pb2, trtllm_service_pb2, vllm_engine_pb2

FILES = {
    "common": common_pb2,
    "sglang": sglang_scheduler_pb2,
    "vllm": vllm_engine_pb2,
    "trtllm": trtllm_service_pb2,
}
ROUNDS = 5
chance = random.Random(7)


def value_of(field):
    if field.type in (field.TYPE_DOUBLE, field.TYPE_FLOAT):
        return chance.randint(-1000, 1000) / 8
    if field.type == field.TYPE_BOOL:
        return True
    if field.type == field.TYPE_STRING:
        return f"größer {chance.randint(0, 99)}"
    if field.type == field.TYPE_BYTES:
        return bytes(chance.randrange(256) for _ in range(5))
    if field.type == field.TYPE_ENUM:
        return chance.choice([value.number for value in field.enum_type.values if value.number])
    if field.type == field.TYPE_INT32:
        return chance.choice([-5, 7, 2**31 - 1, -(2**31)])
    if field.type == field.TYPE_INT64:
        return chance.choice([-(2**63), 2**62 + 3])
    if field.type == field.TYPE_UINT64:
        return 2**63 + 5
    return chance.choice([1, 2**32 - 1])


def fields_of(descriptor):
    """All fields, of each oneof one."""
    chosen = {oneof.name: chance.choice(oneof.fields) for oneof in descriptor.oneofs}
    for field in descriptor.fields:
        if field.containing_oneof is None or chosen[field.containing_oneof.name] is field:
            yield field


def fill(message):
    for field in fields_of(message.DESCRIPTOR):
        if field.message_type is None:
            if field.is_repeated:
                getattr(message, field.name).extend([value_of(field), value_of(field)])
            else:
                setattr(message, field.name, value_of(field))
        elif field.message_type.full_name == "google.protobuf.Struct":
            getattr(message, field.name).update({"a": 1.5, "b": [True, None, "x"], "c": {"d": "e"}})
        elif field.message_type.GetOptions().map_entry:
            key, value = field.message_type.fields
            entries = getattr(message, field.name)
            if value.message_type is None:
                entries[value_of(key)] = value_of(value)
            else:
                fill(entries[value_of(key)])
        elif field.is_repeated:
            for _ in range(2):
                fill(getattr(message, field.name).add())
        else:
            getattr(message, field.name).SetInParent()
            fill(getattr(message, field.name))


def class_of(file, name):
    return message_factory.GetMessageClass(FILES[file].DESCRIPTOR.message_types_by_name[name])


def make():
    for file, module in FILES.items():
        for name in module.DESCRIPTOR.message_types_by_name:
            for _ in range(ROUNDS):
                message = class_of(file, name)()
                fill(message)
                print(json.dumps([file, name, base64.b64encode(message.SerializeToString()).decode()]))


def compare():
    for line in sys.stdin:
        file, name, sent, came_back = json.loads(line)
        parse = class_of(file, name).FromString
        if parse(base64.b64decode(sent)) != parse(base64.b64decode(came_back)):
            print(f"{file}.{name}")


make() if sys.argv[1] == "make" else compare()
