# The Debian package: scripts/package.
# Binary, unit, settings, completion, dashboards, alerts and documents; the library is for those who build.
install(FILES ${CMAKE_CURRENT_LIST_DIR}/lockkeeper.service DESTINATION lib/systemd/system
        COMPONENT runtime)
install(FILES ${CMAKE_CURRENT_LIST_DIR}/lockkeeper.toml DESTINATION /etc/lockkeeper
        COMPONENT package EXCLUDE_FROM_ALL)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/metrics/grafana DESTINATION ${CMAKE_INSTALL_DATADIR}/lockkeeper
        COMPONENT runtime)
install(FILES ${PROJECT_SOURCE_DIR}/metrics/alerts.yml ${PROJECT_SOURCE_DIR}/metrics/metrics.txt
        DESTINATION ${CMAKE_INSTALL_DATADIR}/lockkeeper COMPONENT runtime)
file(GLOB documents ${PROJECT_SOURCE_DIR}/docs/*.md)
install(FILES ${documents} ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/CHANGELOG.md
        DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright
        COMPONENT runtime)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME lockkeeper)
set(CPACK_PACKAGE_CONTACT "Lockkeeper <lockkeeper@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "online schema changes for PostgreSQL")
set(CPACK_PACKAGE_DESCRIPTION "Takes ordinary DDL and runs it as small online steps, from a queue in the
database, while the application keeps reading and writing.")
set(CPACK_DEBIAN_PACKAGE_SECTION database)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS passwd)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "postgresql, prometheus")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(control ${CMAKE_CURRENT_LIST_DIR}/debian)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${control}/postinst ${control}/prerm ${control}/postrm
                                       ${control}/conffiles)
set(CPACK_STRIP_FILES ON)
# One package of these two components, without the library's.
set(CPACK_COMPONENTS_ALL runtime package)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
include(CPack)
