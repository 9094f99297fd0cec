#include "cli/commands.h"
#include "cli/embedded_models.h"

int main(int argc, char** argv) {
  qwen3::set_embedded_files(qwen3::embedded_model_files());
  return qwen3::cli::run(argc, argv);
}
