# SPDX-License-Identifier: Apache-2.0
dist_doc_DATA = README.md LICENSE docs/architecture.md \
	docs/durability.md docs/format.md docs/performance.md \
	docs/performance.svg

dist_man1_MANS = \
	docs/man/shale.1 \
	docs/man/shale-browse.1 \
	docs/man/shale-cat.1 \
	docs/man/shale-commit.1 \
	docs/man/shale-completion.1 \
	docs/man/shale-diff.1 \
	docs/man/shale-discard.1 \
	docs/man/shale-export.1 \
	docs/man/shale-gc.1 \
	docs/man/shale-help.1 \
	docs/man/shale-images.1 \
	docs/man/shale-import.1 \
	docs/man/shale-inspect.1 \
	docs/man/shale-load.1 \
	docs/man/shale-log.1 \
	docs/man/shale-ls.1 \
	docs/man/shale-metadata.1 \
	docs/man/shale-mount.1 \
	docs/man/shale-replay.1 \
	docs/man/shale-save.1 \
	docs/man/shale-status.1 \
	docs/man/shale-tag.1 \
	docs/man/shale-umount.1 \
	docs/man/shale-untag.1 \
	docs/man/shale-verify.1 \
	docs/man/shale-version.1 \
	docs/man/shale-workspace.1 \
	docs/man/shale-workspaces.1
dist_man8_MANS = docs/man/shalefs.8

TESTS += tests/tools/man.test
dist_check_SCRIPTS += tests/tools/man.test
