# What the program knows about its own build: the version, and where `make install` puts data.
target_compile_definitions(qwen3_cli PRIVATE QWEN3_VERSION="${PROJECT_VERSION}")
