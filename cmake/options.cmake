# Compile options that every weir target shares: link to weir_options.
add_library(weir_options INTERFACE)
target_compile_definitions(weir_options INTERFACE _GNU_SOURCE)
target_compile_options(weir_options INTERFACE -Wall -Wextra -Wshadow -Wpointer-arith -Wvla -fno-strict-aliasing
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>)
if(WEIR_WERROR)
  target_compile_options(weir_options INTERFACE -Werror)
endif()

if(WEIR_SANITIZE STREQUAL "address")
  target_compile_options(weir_options INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(weir_options INTERFACE -fsanitize=address,undefined)
elseif(WEIR_SANITIZE STREQUAL "thread")
  # gcc warns that it does not model fences; what they order here are relaxed atomics, which are no race either way.
  target_compile_options(weir_options INTERFACE -fsanitize=thread -fno-omit-frame-pointer
    $<$<C_COMPILER_ID:GNU>:-Wno-tsan>)
  target_link_options(weir_options INTERFACE -fsanitize=thread)
elseif(WEIR_SANITIZE)
  message(FATAL_ERROR "WEIR_SANITIZE is '${WEIR_SANITIZE}': use address, thread or nothing")
endif()

# Link-time optimisation for release builds, where the compiler has it.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT WEIR_SANITIZE)
  include(CheckIPOSupported)
  check_ipo_supported(RESULT WEIR_LTO LANGUAGES C)
  if(WEIR_LTO)
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
    # The installed archives must also link without it.
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
      set(CMAKE_C_COMPILE_OPTIONS_IPO -flto=auto -ffat-lto-objects)
    endif()
  endif()
endif()

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
