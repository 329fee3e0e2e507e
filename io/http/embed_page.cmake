# Turns page.html into a C header at build time. Included, it defines weir_embed_page(target); run as a script
# (cmake -DINPUT=page.html -DOUTPUT=page_data.h -P embed_page.cmake), it writes the header.

if(CMAKE_SCRIPT_MODE_FILE)
  file(READ "${INPUT}" bytes HEX)
  # Every byte an escape of its own, 32 to a line: nothing in the page can end the string or run into its neighbour.
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "\\\\x\\1" escaped "${bytes}")
  string(REPEAT "." 128 line)
  string(REGEX REPLACE "(${line})" "\\1\"\n    \"" lines "${escaped}")
  file(WRITE "${OUTPUT}.new" "/* Made from page.html by embed_page.cmake. */\n"
       "static const char page_html[] =\n    \"${lines}\";\n"
       "static const unsigned long page_html_size = sizeof page_html - 1;\n")
  file(RENAME "${OUTPUT}.new" "${OUTPUT}")
  return()
endif()

set(WEIR_EMBED_PAGE_DIRECTORY ${CMAKE_CURRENT_LIST_DIR})

# Gives `target` an include directory with page_data.h: `page_html` and `page_html_size`.
function(weir_embed_page target)
  set(page ${WEIR_EMBED_PAGE_DIRECTORY}/page.html)
  set(script ${WEIR_EMBED_PAGE_DIRECTORY}/embed_page.cmake)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/embedded)
  file(MAKE_DIRECTORY ${folder})
  add_custom_command(OUTPUT ${folder}/page_data.h
    COMMAND ${CMAKE_COMMAND} -DINPUT=${page} -DOUTPUT=${folder}/page_data.h -P ${script}
    DEPENDS ${page} ${script} VERBATIM COMMENT "Embedding page.html")
  target_sources(${target} PRIVATE ${folder}/page_data.h)
  target_include_directories(${target} PRIVATE ${folder})
endfunction()
