# The command: its parts, its clients against scripted servers, and the whole as a person meets it.
set(command ${PROJECT_SOURCE_DIR}/io/command)

weir_test(command_decoder_test
  SOURCES command_decoder_test.c ${command}/sse_decoder.c ${PROJECT_SOURCE_DIR}/io/wire/text.c
  LIBRARIES weir_io_options)
weir_test(command_lines_test
  SOURCES command_lines_test.c ${command}/line_reader.c ${command}/line_ranges.c
  LIBRARIES weir_io_options)

foreach(client publish tail)
  weir_test(command_${client}_test SOURCES command_${client}_test.c command_peer.c)
  target_compile_definitions(command_${client}_test PRIVATE WEIR_COMMAND="$<TARGET_FILE:weir>")
  add_dependencies(command_${client}_test weir)
endforeach()

add_test(NAME command_end_to_end COMMAND ${CMAKE_CURRENT_LIST_DIR}/command.sh $<TARGET_FILE:weir>)
set_tests_properties(command_end_to_end PROPERTIES TIMEOUT 300)

# The load generator's parts; the whole is in bench.mjs.
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
weir_test(bench_histogram_test
  SOURCES bench_histogram_test.c ${command}/bench/histogram.c LIBRARIES weir_io_options)
weir_test(bench_payload_test
  SOURCES bench_payload_test.c ${command}/bench/payload.c LIBRARIES weir_io_options)
weir_test(bench_verifier_test
  SOURCES bench_verifier_test.c ${command}/bench/verifier.c LIBRARIES weir_io_options)
weir_test(bench_event_check_test
  SOURCES bench_event_check_test.c ${command}/bench/event_check.c ${command}/bench/complaint.c ${command}/bench/ledger.c
    ${command}/bench/payload.c ${command}/bench/verifier.c ${command}/bench/histogram.c ${command}/say.c
    ${PROJECT_SOURCE_DIR}/io/wire/text.c
  LIBRARIES weir_io_options weir_llhttp PkgConfig::JANSSON)
