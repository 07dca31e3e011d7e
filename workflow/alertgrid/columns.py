"""The words of the data: metadata columns, channels, source sets, bands.

Source: BTSbot (arXiv 2401.15167) and the ZTF alert schema.
"""

METADATA_COLUMNS = (
    "sgscore1",
    "distpsnr1",
    "sgscore2",
    "distpsnr2",
    "fwhm",
    "magpsf",
    "sigmapsf",
    "chipsf",
    "ra",
    "dec",
    "diffmaglim",
    "ndethist",
    "nmtchps",
    "age",
    "days_since_peak",
    "days_to_peak",
    "peakmag_so_far",
    "new_drb",
    "ncovhist",
    "nnotdet",
    "chinr",
    "sharpnr",
    "scorr",
    "sky",
    "maxmag_so_far",
)

CHANNELS = ("science", "template", "difference")
STAMP_SIZE = 63
PIXEL_SCALE = 1.01  # arcsec
MISSING = -999.0  # ZTF's own "no value"; it reaches the networks as it is

SPLITS = ("train", "val", "test")
SOURCE_SETS = ("trues", "dims", "vars", "rejects")
BANDS = {1: "g", 2: "r", 3: "i"}

# Which channels a network sees, by the name used on the grid's `stamps` axis.
STAMP_SETS = {
    "all": (0, 1, 2),
    "science_template": (0, 1),
    "science_difference": (0, 2),
    "science": (0,),
    "template": (1,),
    "difference": (2,),
}

# Columns every alert has in dataset.h5 (metadata and kept extra columns come on top), with their storage types.
CATALOGUE_COLUMNS = {
    "candid": "int64",
    "objectId": "str",
    "jd": "float64",
    "fid": "int64",
    "magpsf": "float64",
    "isdiffpos": "str",
    "ra": "float64",
    "dec": "float64",
    "label": "int64",
    "source_set": "str",
    "split": "str",
}
