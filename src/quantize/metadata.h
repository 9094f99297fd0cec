// What a GGUF file says of a model beside its tensors: config, sampling defaults, tokenizer, template.
#pragma once

#include <filesystem>
#include <string_view>

#include "formats/gguf_writer.h"
#include "formats/tensor_source.h"
#include "quantize/mix.h"

namespace qwen3 {

// `model`: the path that `source` was opened from; `name`: what people call it. Throws Error naming the file: not_found without a
// tokenizer, unsupported for what GGUF cannot say.
GgufMetadata model_metadata(const std::filesystem::path& model,
                            const TensorSource& source,
                            const Mix& mix,
                            std::string_view name);

}  // namespace qwen3
