"""The only consumer of RQ: a parent that preloads and forks, its workers, their horses."""
