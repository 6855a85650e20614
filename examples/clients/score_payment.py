"""Scores one payment with stubs generated from the public protocol:

    python3 -m grpc_tools.protoc -I proto/src/main/proto/inference \
        --python_out=. --grpc_python_out=. grpc_service.proto
    PYTHONPATH=. python3 examples/clients/score_payment.py

Debian has what it needs: apt install python3-grpcio python3-grpc-tools
"""

import struct

import grpc
import grpc_service_pb2 as oip
import grpc_service_pb2_grpc as oip_grpc

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
