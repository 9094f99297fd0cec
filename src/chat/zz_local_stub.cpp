#include "qwen3/text.h"
#include "chat/text.h"
namespace qwen3 {
struct AnswerStream::State {};
AnswerStream::AnswerStream(AnswerStream&&) noexcept = default;
AnswerStream& AnswerStream::operator=(AnswerStream&&) noexcept = default;
AnswerStream::~AnswerStream() = default;
AnswerStream::AnswerStream(std::unique_ptr<State> s) : state_(std::move(s)) {}
std::vector<AnswerPiece> AnswerStream::push(int32_t) { return {}; }
std::vector<AnswerPiece> AnswerStream::finish() { return {}; }
bool AnswerStream::stopped() const { return true; }
AnswerStream Text::answer(const AnswerOptions&) const { return AnswerStream(std::make_unique<AnswerStream::State>()); }
}
