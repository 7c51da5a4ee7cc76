/** Paths of the methods of TensorRT-LLM's service. Their messages are in `transport/grpc/generated/`. */
export const TRTLLM = {
  generate: "/trtllm.TrtllmService/Generate",
  embed: "/trtllm.TrtllmService/Embed",
  healthCheck: "/trtllm.TrtllmService/HealthCheck",
  abort: "/trtllm.TrtllmService/Abort",
  getModelInfo: "/trtllm.TrtllmService/GetModelInfo",
  getServerInfo: "/trtllm.TrtllmService/GetServerInfo",
  getTokenizer: "/trtllm.TrtllmService/GetTokenizer",
  subscribeKvEvents: "/trtllm.TrtllmService/SubscribeKvEvents",
} as const;
