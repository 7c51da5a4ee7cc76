import { startGrpcEngine } from "../engines/grpc/grpc-engine.ts";
import { writeTinyModel } from "../support/tiny-model.ts";

/** A simulated gRPC engine as a process of its own, so that it can be stopped and killed: says its address on a line. */
const { path, tokenizer } = await writeTinyModel();
const engine = await startGrpcEngine({ kind: "vllm", model: "tiny", tokenizer, tokenizerPath: path, msPerToken: 20 });
console.log(engine.url);
