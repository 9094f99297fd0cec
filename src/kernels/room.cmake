include(${CMAKE_CURRENT_LIST_DIR}/cpu/room.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/cuda/room.cmake)
