# What an installation has: headers, libraries, and the files by which pkg-config and CMake find them.
include(CMakePackageConfigHelpers)
file(RELATIVE_PATH WEIR_PC_TO_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)

install(FILES engine/weir.h engine/weir_config.h engine/weir_channel.h engine/weir_consumer.h engine/weir_quota.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS weir_static weir_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
configure_file(cmake/weir.pc.in weir.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/weir.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

if(WEIR_BUILD_IO)
  install(FILES io/weir_io.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(TARGETS weir_io_static weir_io_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  configure_file(cmake/weir_io.pc.in weir_io.pc @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/weir_io.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()

set(WEIR_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/weir)
configure_package_config_file(cmake/weirConfig.cmake.in weirConfig.cmake INSTALL_DESTINATION ${WEIR_PACKAGE_DIR}
  PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(weirConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/weirConfig.cmake ${CMAKE_BINARY_DIR}/weirConfigVersion.cmake
        DESTINATION ${WEIR_PACKAGE_DIR})
