// Text to ids and back, and conversations to prompts.
#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"
#include "capi/model.h"
#include "capi/structs.h"

namespace qwen3::capi {
namespace {

struct ChatObject : Object {
  static constexpr Kind kKind = Kind::chat;
  ChatObject() : Object(kKind) {}
  EncodedChat chat;
};

std::string_view given_text(const char* text, size_t n_bytes, std::string_view name) {
  if (n_bytes > 0) check_given(text, name);
  const std::string_view given(n_bytes > 0 ? text : "", n_bytes);
  QWEN3_CHECK(utf8_valid(given),
              ErrorKind::invalid_argument,
              "{}: not valid UTF-8 at byte {}; convert it to UTF-8",
              name,
              utf8_first_invalid(given));
  return given;
}

// Copies to a caller's buffer, or says how large it must be.
template <typename T>
qwen3_status fill(std::string_view function,
                  std::string_view name,
                  const T* values,
                  size_t n,
                  T* out,
                  size_t capacity) {
  if (n > capacity) {
    return failed(function,
                  QWEN3_ERROR_BUFFER_TOO_SMALL,
                  fmt::format("{}: expected a place for {}; got one for {}", name, n, capacity));
  }
  if (n > 0) check_given(out, name);
  std::copy_n(values, n, out);
  return QWEN3_OK;
}

ChatOptions chat_options(const qwen3_chat_options& given) {
  QWEN3_CHECK(given.thinking >= -1 && given.thinking <= 1,
              ErrorKind::invalid_argument,
              "options.thinking: expected 1, 0 or -1; got {}",
              given.thinking);
  ChatOptions options;
  if (given.tools != nullptr) options.tools = given.tools;
  if (given.template_kwargs != nullptr) options.template_kwargs = given.template_kwargs;
  if (given.thinking >= 0) options.enable_thinking = given.thinking == 1;
  options.add_generation_prompt = given.add_generation_prompt != 0;
  options.continue_final_message = given.continue_final_message != 0;
  return options;
}

}  // namespace
}  // namespace qwen3::capi

using namespace qwen3::capi;

qwen3_status qwen3_encode(qwen3_model handle,
                          const char* text,
                          size_t n_bytes,
                          int32_t control_tokens,
                          int32_t* ids,
                          size_t capacity,
                          size_t* n_ids) {
  return guarded(__func__, [&] {
    const auto model = object_of<ModelObject>(handle);
    check_given(n_ids, "n_ids");
    const qwen3::Text& tokenizer = model->need_text();
    const std::string_view given = given_text(text, n_bytes, "text");
    const auto all =
        control_tokens != 0 ? tokenizer.encode(given) : tokenizer.encode_untrusted(given);
    *n_ids = all.size();
    return fill("qwen3_encode", "ids", all.data(), all.size(), ids, capacity);
  });
}

qwen3_status qwen3_decode(qwen3_model handle,
                          const int32_t* ids,
                          size_t n_ids,
                          char* text,
                          size_t capacity,
                          size_t* n_bytes) {
  return guarded(__func__, [&] {
    const auto model = object_of<ModelObject>(handle);
    check_given(n_bytes, "n_bytes");
    if (n_ids > 0) check_given(ids, "ids");
    const std::string all = model->need_text().decode({ids, n_ids});
    *n_bytes = all.size();
    return fill("qwen3_decode", "text", all.c_str(), all.size() + 1, text, capacity);
  });
}

qwen3_status qwen3_end_tokens(qwen3_model handle, int32_t* ids, size_t capacity, size_t* n_ids) {
  return guarded(__func__, [&] {
    const auto model = object_of<ModelObject>(handle);
    check_given(n_ids, "n_ids");
    std::vector<int32_t> all;
    if (model->text) all = model->text->eos_token_ids();
    if (model->weights != nullptr) {
      const auto& more = model->weights->generation_defaults().eos_token_ids;
      all.insert(all.end(), more.begin(), more.end());
    }
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    *n_ids = all.size();
    return fill("qwen3_end_tokens", "ids", all.data(), all.size(), ids, capacity);
  });
}

qwen3_status qwen3_chat_render(qwen3_model handle,
                               const char* messages,
                               size_t n_bytes,
                               const qwen3_chat_options* options,
                               qwen3_chat* chat) {
  return guarded(__func__, [&] {
    const auto model = object_of<ModelObject>(handle);
    check_given(chat, "chat");
    const auto read = chat_options(read_optional_struct(options, "options"));
    const std::string_view given = given_text(messages, n_bytes, "messages");
    auto object = std::make_shared<ChatObject>();
    object->chat = model->need_text().encode_chat(given, read);
    *chat = new_handle<qwen3_chat>(std::move(object));
    return QWEN3_OK;
  });
}

qwen3_status qwen3_chat_get(qwen3_chat handle, qwen3_chat_view* view) {
  return guarded(__func__, [&] {
    const auto object = object_of<ChatObject>(handle);
    check_struct(view, "view");
    const qwen3::EncodedChat& chat = object->chat;
    auto out = defaults<qwen3_chat_view>();
    out.ids = chat.ids.data();
    out.n_ids = chat.ids.size();
    out.prompt = chat.prompt.c_str();
    out.n_prompt_bytes = chat.prompt.size();
    out.state = static_cast<int32_t>(chat.state);
    write_struct(out, view);
    return QWEN3_OK;
  });
}

qwen3_status qwen3_chat_close(qwen3_chat chat) {
  return guarded(__func__, [&] {
    close_handle<ChatObject>(chat);
    return QWEN3_OK;
  });
}
