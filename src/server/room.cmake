qwen3_embed_page(qwen3_server src/server/page server/page/chat_page.h qwen3::server::chat_page
                 WITHOUT_COMMENTS)

# Boost.Asio's fences are unknown to GCC's ThreadSanitizer; locks order what they would.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND QWEN3_SANITIZE MATCHES "thread")
  set_source_files_properties(${PROJECT_SOURCE_DIR}/src/server/http/lane.cpp PROPERTIES
                              COMPILE_OPTIONS -Wno-tsan)
endif()
