"""Find, group and measure nanoparticles and their lobes in electron micrographs."""
