// POST /tokenize, /detokenize, /apply-template: vLLM's field names, and llama.cpp's.
#include <fmt/format.h>

#include <iterator>

#include "base/utf8.h"
#include "server/api/chat_request.h"
#include "server/api/generation_fields.h"
#include "server/api/handlers.h"
#include "server/api/json_writer.h"
#include "server/api/logprobs.h"

namespace qwen3::server {
namespace {

constexpr int64_t kPerShownToken = 96;  // its id, its piece and its text as JSON, while they grow

std::vector<int32_t> ids_of(Fields& fields,
                            const ServedModel& model,
                            const ServiceOptions& options) {
  const std::string_view name = fields.one_of({"prompt", "content"});
  if (name.empty()) {
    if (!fields.has("messages")) refuse("prompt", "is missing; give prompt, content or messages");
    return encode_chat_prompt(model, read_chat_prompt(fields, options.limits)).ids;
  }
  // Qwen3's tokenizers add nothing around a text, but embedding models' do.
  const std::string_view special = fields.one_of({"add_special_tokens", "add_special"});
  const bool add_special = !special.empty() && *fields.boolean(special);
  const bool parse = fields.boolean("parse_special").value_or(true);
  const std::string text = *fields.text(name, SIZE_MAX);
  const ControlTokens control = parse ? ControlTokens::parse : ControlTokens::as_text;
  return add_special ? model.tokenizer().encode_with_post_processor(text, control)
                     : model.tokenizer().encode(text, control);
}

// llama.cpp's with_pieces: a token's text, or its bytes when they are not whole characters.
void append_pieces(std::string& out, const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  out += '[';
  for (size_t i = 0; i < ids.size(); ++i) {
    fmt::format_to(std::back_inserter(out), R"({}{{"id":{},"piece":)", i > 0 ? "," : "", ids[i]);
    const std::string_view bytes = tokenizer.token_bytes(ids[i]);
    if (utf8_valid(bytes)) {
      append_json_string(out, bytes);
    } else {
      std::vector<int32_t> numbers;
      for (const char byte : bytes) numbers.push_back(static_cast<unsigned char>(byte));
      append_json_ids(out, numbers);
    }
    out += '}';
  }
  out += ']';
}

void append_texts(std::string& out, const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  out += '[';
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) out += ',';
    append_json_string(out, token_text(tokenizer, ids[i]));
  }
  out += ']';
}

}  // namespace

void tokenize(Service& service, const HttpRequest& http, const ExchangePtr& exchange) {
  const Json body = request_body(http);
  Fields fields(body);
  const ServedModel& model = service.model_named(read_model_name(fields));
  const std::vector<int32_t> ids = ids_of(fields, model, service.options());
  hold(*exchange, std::ssize(ids) * kPerShownToken);
  std::string out =
      fmt::format(R"({{"count":{},"max_model_len":{},"tokens":)", ids.size(), model.max_model_len);
  if (fields.boolean("with_pieces").value_or(false)) {
    append_pieces(out, model.tokenizer(), ids);
  } else {
    append_json_ids(out, ids);
  }
  out += R"(,"token_strs":)";
  if (fields.boolean("return_token_strs").value_or(false)) {
    append_texts(out, model.tokenizer(), ids);
  } else {
    out += "null";
  }
  note_unread(fields, *exchange);
  exchange->send({.body = out + "}"});
}

void detokenize(Service& service, const HttpRequest& http, const ExchangePtr& exchange) {
  const Json body = request_body(http);
  Fields fields(body);
  const ServedModel& model = service.model_named(read_model_name(fields));
  const Json* tokens = fields.array("tokens", SIZE_MAX);
  if (tokens == nullptr) refuse("tokens", "is missing");
  const std::string text = model.text.decode(read_token_ids(*tokens, "tokens", model.n_tokens));
  note_unread(fields, *exchange);
  std::string out = R"({"prompt":)";  // vLLM's name
  append_json_string(out, text);
  out += R"(,"content":)";  // llama.cpp's
  append_json_string(out, text);
  exchange->send({.body = out + "}"});
}

void apply_template(Service& service, const HttpRequest& http, const ExchangePtr& exchange) {
  const Json body = request_body(http);
  Fields fields(body);
  const ServedModel& model = service.model_named(read_model_name(fields));
  const EncodedChat chat =
      encode_chat_prompt(model, read_chat_prompt(fields, service.options().limits));
  note_unread(fields, *exchange);
  std::string out = R"({"prompt":)";
  append_json_string(out, chat.prompt);
  out += R"(,"tokens":)";
  append_json_ids(out, chat.ids);
  exchange->send({.body = out + "}"});
}

}  // namespace qwen3::server
