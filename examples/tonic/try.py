"""Calls the example as a client in another language does, and checks every reply and status.

    pip install grpcio grpcio-reflection
    python3 examples/tonic/try.py ADDRESS TOKEN TOKEN_WITHOUT_PERMISSION

The example prints the whole command. No code is generated: the client gets the message types by server reflection.
"""

import itertools
import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc import StatusCode
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

HEALTH = "grpc.health.v1.Health"
SERVING = 1
WHOAMI = "whoami.v1.WhoAmI"


class Client:
    def __init__(self, address):
        # The example is on this machine: a proxy would not find it.
        self.channel = grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
        self.reflection = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = DescriptorPool(self.reflection)

    def call(self, path, metadata=(), fields=None, timeout=30):
        """The reply or the stream of replies of `service/method`."""
        service, method = path.split("/")
        found = self.pool.FindServiceByName(service).FindMethodByName(method)
        kind = self.channel.unary_stream if found.server_streaming else self.channel.unary_unary
        request, reply = GetMessageClass(found.input_type), GetMessageClass(found.output_type)
        call = kind(f"/{path}", request_serializer=request.SerializeToString, response_deserializer=reply.FromString)
        return call(request(**(fields or {})), metadata=metadata, timeout=timeout)

    def call_unknown(self, path, metadata=()):
        return self.channel.unary_unary(f"/{path}")(b"", metadata=metadata, timeout=30)


class Checks:
    wrong = 0

    def same(self, name, expected, seen):
        self.wrong += expected != seen
        print(f"ok     {name}" if expected == seen else f"WRONG  {name}: expected {expected}, got {seen}")

    def reply(self, name, expected, call):
        """The call returns a message whose fields have the expected values."""
        try:
            message = call()
            self.same(name, expected, {field: getattr(message, field) for field in expected})
        except grpc.RpcError as error:
            self.same(name, expected, (error.code(), error.details()))

    def status(self, name, code, clerk_code, call):
        """The call or its response stream ends with this status. A rejection has its code in the trailing metadata."""
        try:
            reply = call()
            seen = list(reply) if hasattr(reply, "__next__") else reply
        except grpc.RpcError as error:
            metadata = dict(error.trailing_metadata() or ())
            seen = (error.code(), metadata.get("clerk-error-code"))
        self.same(name, (code, clerk_code), seen)


def main(address, token, token_without_permission):
    client, checks = Client(address.removeprefix("http://")), Checks()
    ada, bob = ([("authorization", f"Bearer {text}")] for text in (token, token_without_permission))

    basic, binary = [("authorization", "Basic eDp5")], [("authorization-bin", token.encode())]
    cases = [
        ("without a token", [], StatusCode.UNAUTHENTICATED, "missing_token"),
        ("with a bad token", [("authorization", "Bearer a.b.c")], StatusCode.UNAUTHENTICATED, "invalid_token"),
        ("with another scheme", basic, StatusCode.UNAUTHENTICATED, "missing_token"),
        ("with binary metadata alone", binary, StatusCode.UNAUTHENTICATED, "missing_token"),
        ("with two tokens", ada + bob, StatusCode.INVALID_ARGUMENT, "malformed_request"),
    ]
    for method, (how, metadata, code, clerk_code) in itertools.product(["WhoAmI", "Watch", "CreateInvoice"], cases):
        checks.status(f"{method} {how}", code, clerk_code, lambda: client.call(f"{WHOAMI}/{method}", metadata))

    who = {"user_id": "user_ada", "session_id": "sess_test"}
    checks.reply("WhoAmI with a token", who, lambda: client.call(f"{WHOAMI}/WhoAmI", ada))
    odd = [("authorization-bin", b"\x00\xff"), *ada]
    checks.reply("WhoAmI with binary metadata beside it", who, lambda: client.call(f"{WHOAMI}/WhoAmI", odd))
    organization = {"id": "org_acme", "role": "org:admin", "permissions": ["org:invoices:create"]}
    checks.reply("WhoAmI of an admin", organization, lambda: client.call(f"{WHOAMI}/WhoAmI", ada).organization)
    organization = {"id": "org_acme", "role": "org:member", "permissions": []}
    checks.reply("WhoAmI of a member", organization, lambda: client.call(f"{WHOAMI}/WhoAmI", bob).organization)

    order = {"customer": "cus_1"}
    invoice = {"customer": "cus_1", "created_by": "user_ada"}
    create = lambda metadata: client.call(f"{WHOAMI}/CreateInvoice", metadata, order)
    denied = (StatusCode.PERMISSION_DENIED, "insufficient_scope")
    checks.reply("CreateInvoice with the permission", invoice, lambda: create(ada))
    checks.status("CreateInvoice without the permission", *denied, lambda: create(bob))

    watch = client.call(f"{WHOAMI}/Watch", ada)
    checks.same("Watch goes on", [0, 1], [tick.number for tick in itertools.islice(watch, 2)])
    watch.cancel()
    checks.same("Watch is cancelled", StatusCode.CANCELLED, watch.code())
    late, watch = (StatusCode.DEADLINE_EXCEEDED, None), lambda: client.call(f"{WHOAMI}/Watch", ada, timeout=0.5)
    checks.status("Watch ends at the deadline of the call", *late, watch)

    for path, metadata, code, clerk_code in [
        (f"{WHOAMI}/Nothing", [], StatusCode.UNAUTHENTICATED, "missing_token"),
        (f"{WHOAMI}/Nothing", ada, StatusCode.UNIMPLEMENTED, None),
        ("no.such.Service/Nothing", [], StatusCode.UNIMPLEMENTED, None),
    ]:
        name = f"{path} {'with' if metadata else 'without'} a token"
        checks.status(name, code, clerk_code, lambda: client.call_unknown(path, metadata))

    for service in ["", WHOAMI]:
        check = lambda: client.call(f"{HEALTH}/Check", fields={"service": service})
        checks.reply(f"health of '{service}' without a token", {"status": SERVING}, check)
    services = {name for name in client.reflection.get_services() if not name.startswith("grpc.reflection.")}
    checks.same("reflection without a token", {HEALTH, WHOAMI}, services)
    return checks.wrong


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    wrong = main(*sys.argv[1:])
    print(f"{wrong} wrong" if wrong else "all as expected")
    sys.exit(bool(wrong))
