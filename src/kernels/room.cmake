include(${CMAKE_CURRENT_LIST_DIR}/cpu/room.cmake)
