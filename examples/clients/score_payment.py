"""Scores one payment with stubs generated from the public protocol:

    python3 -m venv target/python && . target/python/bin/activate
    pip install grpcio grpcio-tools
    mkdir -p target/stubs
    python3 -m grpc_tools.protoc -I proto/src/main/proto --python_out=target/stubs \
        --grpc_python_out=target/stubs inference/grpc_service.proto inference/model_config.proto
    PYTHONPATH=target/stubs python3 examples/clients/score_payment.py

(The grpc_tools of Debian 12 are too old: they do not know proto3's `optional`.)
"""

import struct

import grpc
from inference import grpc_service_pb2 as oip
from inference import grpc_service_pb2_grpc as oip_grpc

features = [0.0] * 21
request = oip.ModelInferRequest(model_name="fraud", id="payment-1")
request.inputs.add(name="features", datatype="FP32", shape=[1, len(features)])
request.raw_input_contents.append(struct.pack(f"<{len(features)}f", *features))

with grpc.insecure_channel("localhost:8001") as channel:
    response = oip_grpc.GRPCInferenceServiceStub(channel).ModelInfer(
        request,
        timeout=1.0,
        metadata=[("sluice-key", "customer-17"), ("sluice-segment-country", "JP")],
    )

honest, fraud = struct.unpack("<2f", response.raw_output_contents[0])
print(f"version {response.model_version}: {fraud:.4f} likely fraud")
for name, value in response.parameters.items():
    print(name, "=", value.string_param)
