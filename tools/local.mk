# SPDX-License-Identifier: Apache-2.0
#
# The common parts with main() are a library: every program adds a table of
# verbs (shale_verbs) and the files of those verbs.
noinst_LIBRARIES += tools/libtools.a
tools_libtools_a_SOURCES = \
	tools/behind.c tools/behind.h \
	tools/change_line.c tools/change_line.h \
	tools/cmd.h \
	tools/columns.c \
	tools/complete.c tools/complete.h \
	tools/complete_noun.c \
	tools/complete_ref.c \
	tools/context.c \
	tools/describe.c tools/describe.h \
	tools/exit.c \
	tools/fill.c tools/fill.h \
	tools/global.c \
	tools/image_arg.c tools/image_arg.h \
	tools/job.c tools/job.h \
	tools/main.c \
	tools/opt.c tools/opt.h \
	tools/output.c tools/output.h \
	tools/program.c \
	tools/progress.c \
	tools/quota.c tools/quota.h \
	tools/space.c tools/space.h \
	tools/verbs.h \
	tools/version_opts.c tools/version_opts.h

LIBS_TOOLS = tools/libtools.a $(LIBS_STORE) $(JANSSON_LIBS)

bin_PROGRAMS += tools/shale
tools_shale_SOURCES = \
	tools/cmd_browse.c \
	tools/cmd_cat.c \
	tools/cmd_commit.c \
	tools/cmd_completion.c \
	tools/cmd_diff.c \
	tools/cmd_discard.c \
	tools/cmd_gc.c \
	tools/cmd_help.c \
	tools/cmd_images.c \
	tools/cmd_inspect.c \
	tools/cmd_log.c \
	tools/cmd_ls.c \
	tools/cmd_metadata.c \
	tools/cmd_mount.c \
	tools/cmd_replay.c \
	tools/cmd_status.c \
	tools/cmd_tag.c \
	tools/cmd_umount.c \
	tools/cmd_verify.c \
	tools/cmd_workspaces.c \
	tools/complete_mount.c \
	tools/go_on.c tools/go_on.h \
	tools/ls_line.c tools/ls_line.h \
	tools/mount_recover.c tools/mount_recover.h \
	tools/mount_status.c tools/mount_status.h \
	tools/mount_upgrade.c tools/mount_upgrade.h \
	tools/mount_words.c tools/mount_words.h \
	tools/mount_workspace.c tools/mount_workspace.h \
	tools/mounting.c tools/mounting.h \
	tools/mounting_fd.c tools/mounting_fd.h \
	tools/mounting_options.c tools/mounting_options.h \
	tools/roots.c tools/roots.h \
	tools/sweep.c tools/sweep.h \
	tools/target.c tools/target.h \
	tools/tree_digest.c tools/tree_digest.h \
	tools/verbs.c
tools_shale_CPPFLAGS = $(AM_CPPFLAGS) -DSHALE_VERSION='"$(VERSION)"'
tools_shale_LDADD = $(LIBS_TOOLS) $(LIBS_COMMIT) $(LIBS_CONTROL) $(LIBS_OPS)

# Completion scripts: installed, and in the program for `shale completion`.
completion_scripts = tools/completion/shale tools/completion/_shale \
	tools/completion/shale.fish
bashcompletiondir = $(datadir)/bash-completion/completions
dist_bashcompletion_DATA = tools/completion/shale
zshcompletiondir = $(datadir)/zsh/site-functions
dist_zshcompletion_DATA = tools/completion/_shale
fishcompletiondir = $(datadir)/fish/vendor_completions.d
dist_fishcompletion_DATA = tools/completion/shale.fish

tools/completion.inc: $(completion_scripts)
	$(AM_V_GEN)for f in $^; do \
		case $$f in *.fish) n=fish ;; */_*) n=zsh ;; *) n=bash ;; esac; \
		echo "static const char $${n}_script[] ="; \
		sed 's/[\\"]/\\&/g; s/^/"/; s/$$/\\n"/' $$f; echo ';'; \
	done >$@.tmp && mv $@.tmp $@
tools/shale-cmd_completion.$(OBJEXT): tools/completion.inc
CLEANFILES += tools/completion.inc tools/completion.inc.tmp

shalelibexec_PROGRAMS += tools/shale-archive
tools_shale_archive_SOURCES = \
	tools/cmd_export.c \
	tools/cmd_import.c \
	tools/cmd_load.c \
	tools/cmd_save.c \
	tools/export_to.c tools/export_to.h \
	tools/verbs_archive.c
tools_shale_archive_LDADD = tools/libtools.a $(LIBS_ARCHIVES) $(LIBS_TOOLS)

check_PROGRAMS += tests/unit/tools-test
TESTS += tests/unit/tools-test
tests_unit_tools_test_SOURCES = tests/unit/tools-test.c
tests_unit_tools_test_LDADD = tests/lib/libcheck.a $(LIBS_TOOLS)

TOOL_TESTS = \
	tests/tools/completion.test \
	tests/tools/diff.test \
	tests/tools/habits.test \
	tests/tools/metadata.test \
	tests/tools/verify.test \
	tests/tools/versions.test
TESTS += $(TOOL_TESTS)
dist_check_SCRIPTS += $(TOOL_TESTS)
EXTRA_DIST += tests/lib/dirdiff.py tests/lib/keys.py
