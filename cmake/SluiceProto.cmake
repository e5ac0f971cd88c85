# sluice_proto_library(TARGET FILE.proto): compiles the schema and makes it includable under the path it
# has in the tree, e.g. "dataplane/contract/dataplane.pb.h". Generated code is not held to our warnings.
function(sluice_proto_library target proto)
  set(out ${PROJECT_BINARY_DIR}/generated)
  file(RELATIVE_PATH path ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/${proto})
  string(REPLACE ".proto" ".pb" stem ${path})
  file(MAKE_DIRECTORY ${out})
  add_custom_command(
    OUTPUT ${out}/${stem}.cc ${out}/${stem}.h
    COMMAND protobuf::protoc -I ${PROJECT_SOURCE_DIR} --cpp_out=${out} ${PROJECT_SOURCE_DIR}/${path}
    DEPENDS ${PROJECT_SOURCE_DIR}/${path}
    VERBATIM)
  add_library(${target} STATIC ${out}/${stem}.cc ${out}/${stem}.h)
  target_include_directories(${target} SYSTEM PUBLIC ${out})
  target_link_libraries(${target} PUBLIC protobuf::libprotobuf)
  if(SLUICE_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${SLUICE_SANITIZE})
  endif()
endfunction()
