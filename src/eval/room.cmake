qwen3_embed_page(qwen3_eval src/eval/report eval/report/report_page.h qwen3::eval::report_page)
