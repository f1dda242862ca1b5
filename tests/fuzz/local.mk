# SPDX-License-Identifier: Apache-2.0
#
# A harness for each decoder.  Configured with --enable-fuzzing (CC=clang) they
# are libFuzzer programs; else replay.c runs them over their corpus, which is
# what `make check` does.
if FUZZING
FUZZ_MAIN =
FUZZ_FLAGS = -fsanitize=fuzzer
else
FUZZ_MAIN = tests/fuzz/replay.c
FUZZ_FLAGS =
TESTS += tests/fuzz/corpus.test
endif
dist_check_SCRIPTS += tests/fuzz/corpus.test
EXTRA_DIST += tests/fuzz/corpus tests/fuzz/fixup.h tests/fuzz/memory_file.h \
	tests/fuzz/use_index.h

FUZZERS = \
	tests/fuzz/codec_fuzz \
	tests/fuzz/control_fuzz \
	tests/fuzz/index_fuzz \
	tests/fuzz/journal_fuzz \
	tests/fuzz/load_fuzz \
	tests/fuzz/mountinfo_fuzz \
	tests/fuzz/oci_fuzz \
	tests/fuzz/patch_fuzz \
	tests/fuzz/record_fuzz \
	tests/fuzz/ref_fuzz \
	tests/fuzz/synth_fuzz \
	tests/fuzz/tree_fuzz \
	tests/fuzz/whiteout_fuzz \
	tests/fuzz/workspace_fuzz
check_PROGRAMS += $(FUZZERS)
fuzzers: $(FUZZERS)
.PHONY: fuzzers

tests_fuzz_codec_fuzz_SOURCES = tests/fuzz/codec_fuzz.c $(FUZZ_MAIN)
tests_fuzz_codec_fuzz_LDADD = $(LIBS_CHUNK)
tests_fuzz_codec_fuzz_LDFLAGS = $(FUZZ_FLAGS)
tests_fuzz_control_fuzz_SOURCES = tests/fuzz/control_fuzz.c $(FUZZ_MAIN)
tests_fuzz_control_fuzz_LDADD = $(LIBS_CONTROL)
tests_fuzz_control_fuzz_LDFLAGS = $(FUZZ_FLAGS)
tests_fuzz_index_fuzz_SOURCES = tests/fuzz/index_fuzz.c $(FUZZ_MAIN)
tests_fuzz_index_fuzz_LDADD = $(LIBS_INDEX)
tests_fuzz_index_fuzz_LDFLAGS = $(FUZZ_FLAGS)
tests_fuzz_journal_fuzz_SOURCES = tests/fuzz/journal_fuzz.c $(FUZZ_MAIN)
tests_fuzz_journal_fuzz_LDADD = $(LIBS_WORKSPACE)
tests_fuzz_journal_fuzz_LDFLAGS = $(FUZZ_FLAGS)
tests_fuzz_load_fuzz_SOURCES = tests/fuzz/load_fuzz.c $(FUZZ_MAIN)
tests_fuzz_load_fuzz_LDADD = $(LIBS_ARCHIVES)
tests_fuzz_load_fuzz_LDFLAGS = $(FUZZ_FLAGS)
tests_fuzz_mountinfo_fuzz_SOURCES = tests/fuzz/mountinfo_fuzz.c $(FUZZ_MAIN)
tests_fuzz_mountinfo_fuzz_LDADD = $(LIBS_CONTROL)
tests_fuzz_mountinfo_fuzz_LDFLAGS = $(FUZZ_FLAGS)
tests_fuzz_oci_fuzz_SOURCES = tests/fuzz/oci_fuzz.c $(FUZZ_MAIN)
tests_fuzz_oci_fuzz_LDADD = $(LIBS_STORE)
tests_fuzz_oci_fuzz_LDFLAGS = $(FUZZ_FLAGS)
tests_fuzz_patch_fuzz_SOURCES = tests/fuzz/patch_fuzz.c $(FUZZ_MAIN)
tests_fuzz_patch_fuzz_LDADD = $(LIBS_INDEX)
tests_fuzz_patch_fuzz_LDFLAGS = $(FUZZ_FLAGS)
tests_fuzz_record_fuzz_SOURCES = tests/fuzz/record_fuzz.c $(FUZZ_MAIN)
tests_fuzz_record_fuzz_LDADD = $(LIBS_LIVE)
tests_fuzz_record_fuzz_LDFLAGS = $(FUZZ_FLAGS)
tests_fuzz_ref_fuzz_SOURCES = tests/fuzz/ref_fuzz.c $(FUZZ_MAIN)
tests_fuzz_ref_fuzz_LDADD = $(LIBS_STORE)
tests_fuzz_ref_fuzz_LDFLAGS = $(FUZZ_FLAGS)
tests_fuzz_synth_fuzz_SOURCES = tests/fuzz/synth_fuzz.c $(FUZZ_MAIN)
tests_fuzz_synth_fuzz_LDADD = fs/mount/libmount.a $(LIBS_BASE)
tests_fuzz_synth_fuzz_LDFLAGS = $(FUZZ_FLAGS)
tests_fuzz_tree_fuzz_SOURCES = tests/fuzz/tree_fuzz.c $(FUZZ_MAIN)
tests_fuzz_tree_fuzz_LDADD = $(LIBS_BLOB)
tests_fuzz_tree_fuzz_LDFLAGS = $(FUZZ_FLAGS)
tests_fuzz_whiteout_fuzz_SOURCES = tests/fuzz/whiteout_fuzz.c $(FUZZ_MAIN)
tests_fuzz_whiteout_fuzz_LDADD = $(LIBS_OPS)
tests_fuzz_whiteout_fuzz_LDFLAGS = $(FUZZ_FLAGS)
tests_fuzz_workspace_fuzz_SOURCES = tests/fuzz/workspace_fuzz.c $(FUZZ_MAIN)
tests_fuzz_workspace_fuzz_LDADD = $(LIBS_WORKSPACE)
tests_fuzz_workspace_fuzz_LDFLAGS = $(FUZZ_FLAGS)
