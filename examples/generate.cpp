// Ten lines with libqwen3: generate MODEL ID... prints the ids that follow.
#include <charconv>
#include <cstdio>
#include <cstring>

#include "qwen3/engine.h"

int main(int argc, char** argv) try {
  qwen3::Request request{.sampling = {.max_tokens = 32}};
  for (int i = 2; i < argc; ++i) {
    std::from_chars(argv[i], argv[i] + std::strlen(argv[i]), request.prompt_ids.emplace_back());
  }
  qwen3::Engine engine(qwen3::Model::load(argc > 1 ? argv[1] : "."));
  auto stream = engine.submit(request);
  while (auto event = stream.next()) std::printf("%d\n", event->token_id);
} catch (const qwen3::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
