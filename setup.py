from setuptools import find_packages, setup

setup(
    name="dld_spotter",
    version="0.1.0",
    description="Text spotting at the resolution each image needs (DLD, ECCV 2022), on Detectron2",
    python_requires=">=3.11",
    packages=find_packages(include=["dld_spotter", "dld_spotter.*"]),
    package_data={
        "dld_spotter.data": ["charsets/*.txt"],
        "dld_spotter.pretrained": ["*/model.yaml", "*/model.pth", "*/README.md"],
    },
    # Detectron2 itself is not on PyPI under its own name: tools/install_detectron2.py brings it. What it imports
    # is listed here, because its wheel is installed without dependencies.
    install_requires=[
        "torch>=2.1",
        "torchvision>=0.16",
        "setuptools<81",  # Detectron2 imports pkg_resources
        "numpy>=1.24",
        "scipy>=1.10",
        "opencv-python-headless>=4.8",
        "Pillow>=10.1",
        "shapely>=2.0",
        "rapidfuzz>=3.0",
        "editdistance>=0.6",
        "matplotlib>=3.7",
        "fonttools>=4.40",
        "tqdm>=4.60",
        "cloudpickle",
        "fvcore>=0.1.5.post20221221",
        "hydra-core>=1.1",
        "iopath>=0.1.9",
        "omegaconf>=2.1,<2.4",
        "packaging",
        "pycocotools>=2.0.6",
        "tabulate",
        "tensorboard",
        "termcolor>=1.1",
        "yacs>=0.1.8",
    ],
    extras_require={"dev": ["pytest>=8", "ruff>=0.9"]},
)
