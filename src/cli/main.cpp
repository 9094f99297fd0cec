#include "cli/commands.h"

int main(int argc, char** argv) { return qwen3::cli::run(argc, argv); }
