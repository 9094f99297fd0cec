target_compile_definitions(qwen3_capi PRIVATE QWEN3_VERSION="${PROJECT_VERSION}")
