// A chat with libqwen3: chat MODEL MESSAGES streams the answer to OpenAI messages.
//   chat models/nano '[{"role":"user","content":"Sort 7, 3 and 9."}]'
#include <qwen3/engine.h>
#include <qwen3/text.h>

#include <iostream>

int main(int argc, char** argv) try {
  if (argc != 3)
    throw qwen3::Error(qwen3::ErrorKind::invalid_argument, "usage: chat MODEL MESSAGES");
  const auto text = qwen3::Text::load(argv[1]);
  const auto chat = text.encode_chat(argv[2]);
  auto answer = text.answer({.state = chat.state});
  qwen3::Engine engine(qwen3::Model::load(argv[1]), {.eos_token_ids = text.eos_token_ids()});
  auto stream = engine.submit({.prompt_ids = chat.ids, .sampling = {.max_tokens = 256}});
  while (const auto event = stream.next()) {
    if (event->token_id < 0 || event->is_end_token) continue;
    for (const auto& piece : answer.push(event->token_id)) std::cout << piece.text << std::flush;
  }
  for (const auto& piece : answer.finish()) std::cout << piece.text;
  std::cout << "\n";
} catch (const qwen3::Error& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
