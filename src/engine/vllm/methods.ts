/** Paths of the methods of vLLM's engine service. Their messages are in `transport/grpc/generated/`. */
export const VLLM = {
  generate: "/vllm.grpc.engine.VllmEngine/Generate",
  embed: "/vllm.grpc.engine.VllmEngine/Embed",
  healthCheck: "/vllm.grpc.engine.VllmEngine/HealthCheck",
  flushCache: "/vllm.grpc.engine.VllmEngine/FlushCache",
  startProfile: "/vllm.grpc.engine.VllmEngine/StartProfile",
  stopProfile: "/vllm.grpc.engine.VllmEngine/StopProfile",
  abort: "/vllm.grpc.engine.VllmEngine/Abort",
  getModelInfo: "/vllm.grpc.engine.VllmEngine/GetModelInfo",
  getServerInfo: "/vllm.grpc.engine.VllmEngine/GetServerInfo",
  getLoads: "/vllm.grpc.engine.VllmEngine/GetLoads",
  getTokenizer: "/vllm.grpc.engine.VllmEngine/GetTokenizer",
  subscribeKvEvents: "/vllm.grpc.engine.VllmEngine/SubscribeKvEvents",
} as const;
