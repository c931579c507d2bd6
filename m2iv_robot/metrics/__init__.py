"""How good a generated clip is: frame (PSNR, SSIM, sharpness), features (LPIPS), fvd and i3d, control (did it land)."""
